#include "apps/engine/ceilings.h"

#include <algorithm>
#include <vector>

#include "apps/engine/cpu_peak.h"
#include "engine/cuda/blas.h"

namespace engine::cli {
namespace {

// Of each measurement: a chip that draws much power lowers its clock within that time.
constexpr double kSeconds = 0.5;

double measure_copy(Machine& machine, Noise& noise) {
  // Far beyond any cache, and a small part of any memory.
  const int64_t most = machine.device().is_cuda() ? int64_t{2} << 30 : int64_t{256} << 20;
  const int64_t bytes = std::min(most, machine.info().memory_bytes / 16) / 4 * 4;
  const auto source = machine.allocate(bytes);
  const auto target = machine.allocate(bytes);
  noise.fill(source.get(), DType::kF32, bytes / 4);
  const auto copy = [&](int64_t) {
    if (machine.device().is_cuda()) {
      machine.copy(target.get(), source.get(), bytes);
      return;
    }
    machine.threads().parallel_for(bytes, 1 << 20, [&](int64_t begin, int64_t end) {
      machine.copy(static_cast<char*>(target.get()) + begin,
                   static_cast<const char*>(source.get()) + begin, end - begin);
    });
  };
  return 2.0 * static_cast<double>(bytes) / machine.median_seconds(1, kSeconds, copy);
}

double measure_gpu_products([[maybe_unused]] Machine& machine, [[maybe_unused]] Noise& noise,
                            [[maybe_unused]] Precision precision) {
  double rate = 0.0;
  if constexpr (kWithCuda) {
    constexpr int64_t kSize = 8192;
    cuda::Gemm gemm{kSize, kSize, kSize, kSize, kSize, kSize};
    gemm.dtype = gemm.c_dtype = storage_dtype(precision);
    gemm.tf32 = precision == Precision::kTf32;
    const int64_t elements = kSize * kSize;
    const int64_t bytes = elements * static_cast<int64_t>(size_of(gemm.dtype));
    const auto a = machine.allocate(bytes), b = machine.allocate(bytes),
               c = machine.allocate(bytes), workspace = machine.allocate(cuda::kGemmWorkspaceBytes);
    noise.fill(a.get(), gemm.dtype, elements);
    noise.fill(b.get(), gemm.dtype, elements);
    cuda::prepare_gemm(machine.device());
    const double seconds = machine.median_seconds(1, kSeconds, [&](int64_t) {
      cuda::gemm(gemm, machine.device(), a.get(), b.get(), c.get(), workspace.get(),
                 machine.stream());
    });
    rate = 2.0 * kSize * kSize * kSize / seconds;
  }
  return rate;
}

double measure_cpu_products(Machine& machine) {
  constexpr int64_t kRounds = 2000000;  // milliseconds, so that waking threads is nothing
  const PeakLoop loop = peak_loop();
  const int64_t threads = machine.threads().threads();
  std::vector<float> results(static_cast<size_t>(threads));
  const double seconds = machine.median_seconds(1, kSeconds, [&](int64_t) {
    machine.threads().parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        results[static_cast<size_t>(i)] = loop.run(kRounds, 0.5f);
      }
    });
  });
  return static_cast<double>(loop.flops_of_round * kRounds * threads) / seconds;
}

}  // namespace

double Ceilings::roofline_seconds(double flops, double bytes, Precision precision) const {
  double arithmetic = flops / flops_per_second.at(precision);
  const auto tf32 = flops_per_second.find(Precision::kTf32);
  if (precision == Precision::kFp32 && tf32 != flops_per_second.end()) {
    arithmetic = std::min(arithmetic, 3.0 * flops / tf32->second);
  }
  return std::max(arithmetic, bytes / copy_bytes_per_second);
}

Ceilings measure_ceilings(Machine& machine, Noise& noise,
                          const std::vector<Precision>& precisions) {
  Ceilings ceilings;
  ceilings.copy_bytes_per_second = measure_copy(machine, noise);
  if (!machine.device().is_cuda()) {
    ceilings.flops_per_second[Precision::kFp32] = measure_cpu_products(machine);
    return ceilings;
  }
  for (const Precision precision : precisions) {
    ceilings.flops_per_second[precision] = measure_gpu_products(machine, noise, precision);
  }
  if (ceilings.flops_per_second.contains(Precision::kFp32)) {
    ceilings.flops_per_second[Precision::kTf32] =
        measure_gpu_products(machine, noise, Precision::kTf32);
  }
  return ceilings;
}

}  // namespace engine::cli
