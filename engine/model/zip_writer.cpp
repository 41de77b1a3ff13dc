// APPNOTE.TXT of PKWARE, version 6.3.10, names the records and fields below.
#include "engine/model/zip_writer.h"

#include <array>
#include <cstdint>
#include <deque>

#include "engine/model/file_writer.h"

namespace engine {
namespace {

constexpr uint16_t kVersionZip64 = 45;
constexpr uint16_t kStored = 0;
constexpr uint32_t kDate = (1 << 5 | 1) << 16;  // 1980-01-01 0:00: equal inputs give equal files
constexpr uint32_t kSeeZip64 = 0xffffffff;
constexpr uint16_t kManyEntries = 0xffff;  // as kSeeZip64, for counts

// Little-endian fields, appended one after another.
class Record {
 public:
  Record& u16(uint16_t value) { return number(value, 2); }
  Record& u32(uint32_t value) { return number(value, 4); }
  Record& u64(uint64_t value) { return number(value, 8); }
  Record& text(std::string_view value) {
    bytes_ += value;
    return *this;
  }
  std::string take() { return std::move(bytes_); }

 private:
  Record& number(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
    return *this;
  }
  std::string bytes_;
};

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? 0xedb88320u : 0u);
    table[byte] = rest;
  }
  return table;
}

// CRC-32 (ISO-HDLC) of the parts as one text.
uint32_t crc32(const std::vector<std::string_view>& parts) {
  static constexpr std::array<uint32_t, 256> kTable = make_crc_table();
  uint32_t crc = 0xffffffff;
  for (const std::string_view part : parts) {
    for (const char c : part) crc = crc >> 8 ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  }
  return ~crc;
}

// What the local and the central header of a member have in common, up to the name's length.
Record& add_common(Record& record, const ZipSource& member, uint32_t crc) {
  return record.u16(kVersionZip64)
      .u16(0)
      .u16(kStored)
      .u32(kDate)
      .u32(crc)
      .u32(kSeeZip64)
      .u32(kSeeZip64)
      .u16(static_cast<uint16_t>(member.name.size()));
}

std::string local_header(const ZipSource& member, uint32_t crc, uint64_t size) {
  Record record;
  record.u32(0x04034b50);
  add_common(record, member, crc).u16(20).text(member.name);
  return record.u16(1).u16(16).u64(size).u64(size).take();
}

std::string central_header(const ZipSource& member, uint32_t crc, uint64_t size, uint64_t offset) {
  Record record;
  record.u32(0x02014b50).u16(kVersionZip64);
  add_common(record, member, crc).u16(28).u16(0).u16(0).u16(0).u32(0).u32(kSeeZip64);
  return record.text(member.name).u16(1).u16(24).u64(size).u64(size).u64(offset).take();
}

std::string end_records(uint64_t count, uint64_t directory_bytes, uint64_t directory_offset) {
  Record record;
  record.u32(0x06064b50).u64(44).u16(kVersionZip64).u16(kVersionZip64).u32(0).u32(0);
  record.u64(count).u64(count).u64(directory_bytes).u64(directory_offset);
  record.u32(0x07064b50).u32(0).u64(directory_offset + directory_bytes).u32(1);
  record.u32(0x06054b50).u16(0).u16(0).u16(kManyEntries).u16(kManyEntries);
  return record.u32(kSeeZip64).u32(kSeeZip64).u16(0).take();
}

}  // namespace

void write_zip(const std::string& path, const std::vector<ZipSource>& members) {
  std::deque<std::string> headers;  // a deque keeps what the parts refer to in place
  std::vector<std::string_view> parts;
  std::string directory;
  uint64_t offset = 0;
  for (const ZipSource& member : members) {
    uint64_t size = 0;
    for (const std::string_view part : member.parts) size += part.size();
    const uint32_t crc = crc32(member.parts);
    headers.push_back(local_header(member, crc, size));
    directory += central_header(member, crc, size, offset);
    offset += headers.back().size() + size;
    parts.push_back(headers.back());
    parts.insert(parts.end(), member.parts.begin(), member.parts.end());
  }
  const std::string end = end_records(members.size(), directory.size(), offset);
  parts.push_back(directory);
  parts.push_back(end);
  write_file(path, parts);
}

}  // namespace engine
