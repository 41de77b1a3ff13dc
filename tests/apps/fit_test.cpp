// Files made to fit a model's inputs: what is changed is said, what is ambiguous is refused.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "apps/engine/audio_fit.h"
#include "apps/engine/file_argument.h"
#include "apps/engine/input_files.h"
#include "tests/support/expect_error.h"

using namespace engine;
using engine::cli::Audio;
using engine::test::expect_error;

namespace {

const SizeSpec kBatch{"batch", 0};
const SizeSpec kLength{"length", 0};

SizeSpec fixed(int64_t size) { return {"", size}; }

InputSpec input_of(std::vector<SizeSpec> shape, DType dtype = DType::kF32) {
  return {"signal", dtype, std::move(shape), std::nullopt, {}};
}

InputSpec waveform(double sample_rate = 16000) {
  InputSpec input = input_of({kBatch, fixed(1), kLength});
  input.sample_rate = sample_rate;
  return input;
}

Tensor counting(Shape shape) {
  Tensor tensor = Tensor::empty(std::move(shape));
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = static_cast<float>(i);
  return tensor;
}

std::vector<float> elements_of(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.elements()};
}

// Collects what the user would be told.
struct Notes {
  std::vector<std::string> texts;
  cli::Notify notify = [this](const std::string& text) { texts.push_back(text); };
};

}  // namespace

TEST_CASE("fit_tensor: leading sizes that are 1 or named are added, and said") {
  Notes notes;
  const InputSpec input = input_of({kBatch, fixed(1), kLength});
  CHECK(cli::fit_tensor(counting({4}), input, "x.npy", notes.notify).shape() == Shape{1, 1, 4});
  CHECK(cli::fit_tensor(counting({1, 4}), input, "x.npy", notes.notify).shape() == Shape{1, 1, 4});
  CHECK(notes.texts == std::vector<std::string>{"x.npy: shape [4] taken as [1, 1, 4]",
                                                "x.npy: shape [1, 4] taken as [1, 1, 4]"});
}

TEST_CASE("fit_tensor: what fits stays as it is, without a word") {
  Notes notes;
  const Tensor tensor = counting({2, 3, 4});
  const InputSpec input = input_of({kBatch, fixed(3), kLength});
  CHECK(cli::fit_tensor(tensor, input, "x.npy", notes.notify).raw() == tensor.raw());
  CHECK(notes.texts.empty());
}

TEST_CASE("fit_tensor: another number of channels, a rank too high and another kind are refused") {
  Notes notes;
  const InputSpec input = input_of({kBatch, fixed(3), kLength});
  const auto fit = [&](const Tensor& tensor) {
    return [&, tensor] { cli::fit_tensor(tensor, input, "x.npy", notes.notify); };
  };
  expect_error(fit(counting({4})), ErrorKind::kInvalidArgument,
               "x.npy: input 'signal' expects f32 [batch, 3, length], found f32 [4]");
  expect_error(fit(counting({2, 4})), ErrorKind::kInvalidArgument,
               "x.npy: input 'signal' expects f32 [batch, 3, length], found f32 [2, 4]");
  expect_error(fit(counting({1, 1, 3, 4})), ErrorKind::kInvalidArgument,
               "x.npy: input 'signal' expects f32 [batch, 3, length], found f32 [1, 1, 3, 4]");
  expect_error(fit(Tensor::zeros({1, 3, 4}, DType::kI64)), ErrorKind::kInvalidArgument,
               "x.npy: input 'signal' expects f32 [batch, 3, length], found i64 [1, 3, 4]");
}

TEST_CASE("fit_tensor: another width of the same kind is converted, and said") {
  Notes notes;
  const InputSpec input = input_of({kBatch, kLength}, DType::kI64);
  const Tensor found =
      cli::fit_tensor(Tensor::zeros({2, 3}, DType::kI32), input, "x.npy", notes.notify);
  CHECK(found.dtype() == DType::kI64);
  CHECK(notes.texts == std::vector<std::string>{"x.npy: converted from i32 to the i64 that the "
                                                "model takes"});
}

TEST_CASE("fit_tensor: integers beyond the narrower type are refused, not wrapped") {
  Notes notes;
  const InputSpec input = input_of({kLength}, DType::kI32);
  int64_t values[] = {1, int64_t{1} << 32};
  CHECK(cli::fit_tensor(Tensor::wrap(values, {1}), input, "x.npy", notes.notify).dtype() ==
        DType::kI32);
  expect_error([&] { cli::fit_tensor(Tensor::wrap(values, {2}), input, "x.npy", notes.notify); },
               ErrorKind::kInvalidArgument, "x.npy: the integer 4294967296 does not fit i32");
}

TEST_CASE("fit_audio: channels averaged into one") {
  Notes notes;
  const Audio stereo{{{1.0f, 2.0f}, {3.0f, -2.0f}}, 16000};
  const Tensor found = cli::fit_audio(stereo, waveform(), "x.wav", notes.notify);
  CHECK(found.shape() == Shape{1, 1, 2});
  CHECK(elements_of(found) == std::vector<float>{2.0f, 0.0f});
  CHECK(notes.texts ==
        std::vector<std::string>{"x.wav: 2 channels mixed down to the one that the model takes"});
}

TEST_CASE("fit_audio: one channel repeated, or all kept where the model takes any number") {
  Notes notes;
  const Audio mono{{{1.0f, 2.0f}}, 16000};
  const Audio stereo{{{1.0f, 2.0f}, {3.0f, 4.0f}}, 16000};
  InputSpec two = waveform();
  two.shape[1] = fixed(2);
  CHECK(elements_of(cli::fit_audio(mono, two, "x.wav", notes.notify)) ==
        std::vector<float>{1, 2, 1, 2});
  CHECK(notes.texts ==
        std::vector<std::string>{"x.wav: one channel repeated for the 2 that the model takes"});
  InputSpec any = waveform();
  any.shape[1] = {"channels", 0};
  CHECK(cli::fit_audio(stereo, any, "x.wav", notes.notify).shape() == Shape{1, 2, 2});
  CHECK(notes.texts.size() == 1);
}

TEST_CASE("fit_audio: several channels do not map onto several others") {
  Notes notes;
  const Audio stereo{{{1.0f}, {2.0f}}, 16000};
  InputSpec three = waveform();
  three.shape[1] = fixed(3);
  expect_error([&] { cli::fit_audio(stereo, three, "x.wav", notes.notify); },
               ErrorKind::kInvalidArgument,
               "x.wav: does not fit input 'signal' f32 [batch, 3, length]: it has 2 channels, "
               "expected 3 or 1");
}

TEST_CASE("fit_audio: resampled to the declared rate, taken as is where none is declared") {
  Notes notes;
  const Audio audio{{std::vector<float>(801)}, 8000};
  CHECK(cli::fit_audio(audio, waveform(), "x.wav", notes.notify).shape() == Shape{1, 1, 1602});
  const InputSpec unrated = input_of({kLength});
  CHECK(cli::fit_audio(audio, unrated, "x.wav", notes.notify).shape() == Shape{801});
  CHECK(notes.texts == std::vector<std::string>{
                           "x.wav: resampled from 8000 Hz to the 16000 Hz that the model takes",
                           "x.wav: 8000 Hz taken as is; input 'signal' declares no sample_rate"});
  expect_error([&] { cli::fit_audio(audio, waveform(8000.5), "x.wav", notes.notify); },
               ErrorKind::kInvalidArgument,
               "x.wav: does not fit input 'signal' f32 [batch, 1, length]: cannot resample 8000 Hz "
               "to 8000.5 Hz; only to whole rates up to 1000000000 Hz");
}

TEST_CASE("fit_audio: padded or cut to a fixed length, and said") {
  Notes notes;
  InputSpec input = waveform();
  input.shape[2] = fixed(3);
  const Audio is_short{{{1.0f, 2.0f}}, 16000};
  const Audio is_long{{{1.0f, 2.0f, 3.0f, 4.0f}}, 16000};
  CHECK(elements_of(cli::fit_audio(is_short, input, "x.wav", notes.notify)) ==
        std::vector<float>{1, 2, 0});
  CHECK(elements_of(cli::fit_audio(is_long, input, "x.wav", notes.notify)) ==
        std::vector<float>{1, 2, 3});
  CHECK(notes.texts == std::vector<std::string>{
                           "x.wav: 2 samples padded with zeros to the 3 that the model takes",
                           "x.wav: only the first 3 of 4 samples used; the model takes no more"});
}

TEST_CASE("fit_audio: inputs that are not for sound are refused") {
  Notes notes;
  const Audio audio{{{1.0f, 2.0f}}, 16000};
  const auto fit = [&](const InputSpec& input) {
    return [&, input] { cli::fit_audio(audio, input, "x.wav", notes.notify); };
  };
  expect_error(fit(input_of({kBatch, kLength}, DType::kI64)), ErrorKind::kInvalidArgument,
               "x.wav: does not fit input 'signal' i64 [batch, length]: sound fits floating-point "
               "inputs of shape [length], [batch, length] or [batch, channels, length]");
  expect_error(fit(input_of({kBatch, kLength, fixed(1)})), ErrorKind::kInvalidArgument,
               "x.wav: does not fit input 'signal' f32 [batch, length, 1]: sound fits [length], "
               "[batch, length] or [batch, channels, length]; transpose it into a .npy file");
  expect_error(fit(input_of({fixed(2), fixed(1), kLength})), ErrorKind::kInvalidArgument,
               "x.wav: does not fit input 'signal' f32 [2, 1, length]: a sound file is a batch of "
               "1, expected 2; stack them in a .npy file");
}

TEST_CASE("parse_file_argument: a name stands before the first '='") {
  CHECK(cli::parse_file_argument("x.wav").name == "");
  CHECK(cli::parse_file_argument("left=x.wav").name == "left");
  CHECK(cli::parse_file_argument("left=x.wav").path == "x.wav");
  CHECK(cli::parse_file_argument("left=a=b.wav").path == "a=b.wav");
  CHECK(cli::parse_file_argument("runs/lr=3/x.wav").path == "runs/lr=3/x.wav");
}

TEST_CASE("has_extension: in whatever case") {
  CHECK(cli::has_extension("a/b.NPY", ".npy"));
  CHECK_FALSE(cli::has_extension("b.npyx", ".npy"));
  CHECK_FALSE(cli::has_extension(".npy", ".npy"));
  CHECK_FALSE(cli::has_extension("y", ".npy"));
}
