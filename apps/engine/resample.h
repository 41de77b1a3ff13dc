// Change of sample rate.
#pragma once

#include <cstdint>
#include <vector>

namespace engine::cli {

/// `samples` at `rate_in` Hz as ceil(n * rate_out / rate_in) samples at `rate_out` Hz, the first of
/// both at the same time. Band-limited: frequencies that the lower of the two rates cannot hold are
/// suppressed by 90 dB, those up to 0.9 of its half are kept within 0.01 dB. Beyond the ends the
/// signal counts as zero. Rates must be positive.
std::vector<float> resample(const std::vector<float>& samples, int64_t rate_in, int64_t rate_out);

}  // namespace engine::cli
