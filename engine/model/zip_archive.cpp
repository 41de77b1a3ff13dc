// APPNOTE.TXT of PKWARE, version 6.3.10, names the records and fields below.
#include "engine/model/zip_archive.h"

#include <fmt/format.h>

#include "engine/error.h"
#include "engine/model/bytes.h"
#include "engine/model/text.h"

namespace engine {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kZip64End = 0x06064b50;
constexpr uint32_t kZip64Locator = 0x07064b50;

constexpr size_t kLocalHeaderBytes = 30;
constexpr size_t kCentralHeaderBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kZip64EndBytes = 56;
constexpr size_t kZip64LocatorBytes = 20;
constexpr size_t kMaxCommentBytes = 65535;

constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kSeeZip64 = 0xffffffff;  // a 32-bit field whose value stands in a 64-bit one
constexpr uint16_t kEncrypted = 1;

class ZipReader {
 public:
  ZipReader(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  std::vector<ZipMember> list() const {
    Directory directory = find_directory();
    std::vector<ZipMember> members;
    uint64_t at = directory.offset;
    for (uint64_t i = 0; i < directory.count; ++i) members.push_back(read_member(at));
    return members;
  }

 private:
  struct Directory {
    uint64_t count = 0;
    uint64_t offset = 0;
  };

  [[noreturn]] void fail(const std::string& message,
                         ErrorKind kind = ErrorKind::kInvalidArgument) const {
    throw Error(kind, fmt::format("{}: {}", path_, message));
  }

  // The `size` bytes at `offset`, wherever a damaged file says that is.
  std::string_view slice(uint64_t offset, uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      fail("the ZIP archive is damaged: it refers to bytes beyond its end");
    }
    return bytes_.substr(offset, size);
  }

  std::string_view record(uint64_t offset, size_t size, uint32_t signature) const {
    const std::string_view found = slice(offset, size);
    if (read_at<uint32_t>(found, 0) != signature) {
      fail(fmt::format("the ZIP archive is damaged: no record where one should be, at byte {}",
                       offset));
    }
    return found;
  }

  // The end record stands at the end, before a comment of unknown length.
  size_t find_end() const {
    const size_t last = bytes_.size() < kEndBytes ? 0 : bytes_.size() - kEndBytes + 1;
    const size_t first = last > kMaxCommentBytes ? last - kMaxCommentBytes - 1 : 0;
    for (size_t at = last; at > first; --at) {
      if (read_at<uint32_t>(bytes_, at - 1) == kEnd) return at - 1;
    }
    fail("not a ZIP archive, or truncated: its end record is missing");
  }

  Directory find_directory() const {
    const size_t end = find_end();
    const std::string_view fields = record(end, kEndBytes, kEnd);
    const Directory directory = {read_at<uint16_t>(fields, 10), read_at<uint32_t>(fields, 16)};
    const bool is_zip64 = directory.count == 0xffff || directory.offset == kSeeZip64;
    if (!is_zip64 || end < kZip64LocatorBytes) return directory;
    const std::string_view locator =
        record(end - kZip64LocatorBytes, kZip64LocatorBytes, kZip64Locator);
    const std::string_view wide = record(read_at<uint64_t>(locator, 8), kZip64EndBytes, kZip64End);
    return {read_at<uint64_t>(wide, 32), read_at<uint64_t>(wide, 48)};
  }

  // Reads the central directory's entry at `at`, and moves on to the next.
  ZipMember read_member(uint64_t& at) const {
    const std::string_view fields = record(at, kCentralHeaderBytes, kCentralHeader);
    const uint64_t name_bytes = read_at<uint16_t>(fields, 28);
    const uint64_t extra_bytes = read_at<uint16_t>(fields, 30);
    const std::string name(slice(at + kCentralHeaderBytes, name_bytes));
    const std::string_view extra = slice(at + kCentralHeaderBytes + name_bytes, extra_bytes);
    at += kCentralHeaderBytes + name_bytes + extra_bytes + read_at<uint16_t>(fields, 32);

    if (read_at<uint16_t>(fields, 8) & kEncrypted) {
      fail(fmt::format("member {} is encrypted", in_quotes(name)), ErrorKind::kUnsupported);
    }
    if (read_at<uint16_t>(fields, 10) != 0) {
      fail(fmt::format("member {} is compressed; write the file with numpy.savez in place of "
                       "numpy.savez_compressed",
                       in_quotes(name)),
           ErrorKind::kUnsupported);
    }
    // A field of 64 bits is there only where the one of 32 bits refers to it, in this order.
    std::string_view wide = find_zip64_extra(extra);
    const uint64_t size = read_size(read_at<uint32_t>(fields, 24), wide);
    const uint64_t stored_size = read_size(read_at<uint32_t>(fields, 20), wide);
    const uint64_t offset = read_size(read_at<uint32_t>(fields, 42), wide);
    if (size != stored_size) {
      fail(fmt::format("the ZIP archive is damaged: member {} has two sizes, {} and {}",
                       in_quotes(name), size, stored_size));
    }
    const std::string_view local = record(offset, kLocalHeaderBytes, kLocalHeader);
    const uint64_t begin =
        offset + kLocalHeaderBytes + read_at<uint16_t>(local, 26) + read_at<uint16_t>(local, 28);
    return {name, slice(begin, size)};
  }

  static std::string_view find_zip64_extra(std::string_view extra) {
    while (extra.size() >= 4) {
      const std::string_view block = extra.substr(4, read_at<uint16_t>(extra, 2));
      if (read_at<uint16_t>(extra, 0) == kZip64Extra) return block;
      extra.remove_prefix(4 + block.size());
    }
    return {};
  }

  uint64_t read_size(uint32_t narrow, std::string_view& wide) const {
    if (narrow != kSeeZip64) return narrow;
    if (wide.size() < 8) fail("the ZIP archive is damaged: a size of 64 bits is missing");
    const auto value = read_at<uint64_t>(wide, 0);
    wide.remove_prefix(8);
    return value;
  }

  std::string_view bytes_;
  std::string path_;
};

}  // namespace

std::vector<ZipMember> list_zip(std::string_view bytes, const std::string& path) {
  return ZipReader(bytes, path).list();
}

}  // namespace engine
