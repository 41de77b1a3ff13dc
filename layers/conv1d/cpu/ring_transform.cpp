#include "layers/conv1d/cpu/ring_transform.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/ring_transform.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int64_t kLanes = hn::MaxLanes(D());
static_assert(kLanes == 1 || kLanes == 4 || kLanes == 8 || kLanes == 16);
// Numbers of a block that goes through all passes at once.
constexpr int64_t kBlock = 1024;

struct Complex {
  // Those that a compiler adds are not compiled for this set of instructions (GCC for AArch64).
  HWY_INLINE Complex() {}
  HWY_INLINE Complex(V real, V imaginary) : re(real), im(imaginary) {}

  V re;
  V im;
};

HWY_INLINE Complex add(Complex a, Complex b) { return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)}; }
HWY_INLINE Complex sub(Complex a, Complex b) { return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)}; }
// a + i b and a - i b
HWY_INLINE Complex add_i(Complex a, Complex b) {
  return {hn::Sub(a.re, b.im), hn::Add(a.im, b.re)};
}
HWY_INLINE Complex sub_i(Complex a, Complex b) {
  return {hn::Add(a.re, b.im), hn::Sub(a.im, b.re)};
}
HWY_INLINE Complex times(Complex a, Complex c) {
  return {hn::NegMulAdd(a.im, c.im, hn::Mul(a.re, c.re)),
          hn::MulAdd(a.im, c.re, hn::Mul(a.re, c.im))};
}
HWY_INLINE Complex times_conjugate(Complex a, Complex c) {
  return {hn::MulAdd(a.im, c.im, hn::Mul(a.re, c.re)),
          hn::NegMulAdd(a.re, c.im, hn::Mul(a.im, c.re))};
}

HWY_INLINE Complex load(const float* re, const float* im) {
  return {hn::LoadU(D(), re), hn::LoadU(D(), im)};
}
HWY_INLINE void store(Complex a, float* re, float* im) {
  hn::StoreU(a.re, D(), re);
  hn::StoreU(a.im, D(), im);
}
// The real parts of a vector and the imaginary ones behind them.
HWY_INLINE Complex load(const float* both) { return load(both, both + kLanes); }
HWY_INLINE Complex broadcast(const float* c) { return {hn::Set(D(), c[0]), hn::Set(D(), c[1])}; }

struct Roots {
  Complex c1;
  Complex c2;
  Complex c3;
};

// Coefficients a[k] of x^(k m) to the values at x^m = c, -c, ic, -ic.
HWY_INLINE void split(Complex* a, const Roots& c) {
  const Complex b1 = times(a[1], c.c1), b2 = times(a[2], c.c2), b3 = times(a[3], c.c3);
  const Complex even = add(a[0], b2), odd = add(b1, b3);
  const Complex even_i = sub(a[0], b2), odd_i = sub(b1, b3);
  a[0] = add(even, odd);
  a[1] = sub(even, odd);
  a[2] = add_i(even_i, odd_i);
  a[3] = sub_i(even_i, odd_i);
}

// Back, times four.
HWY_INLINE void join(Complex* a, const Roots& c) {
  const Complex even = add(a[0], a[1]), odd = sub(a[0], a[1]);
  const Complex even_i = add(a[2], a[3]), odd_i = sub(a[2], a[3]);
  a[0] = add(even, even_i);
  a[1] = times_conjugate(sub_i(odd, odd_i), c.c1);
  a[2] = times_conjugate(sub(even, even_i), c.c2);
  a[3] = times_conjugate(add_i(odd, odd_i), c.c3);
}

HWY_INLINE Roots broadcast_roots(const float* roots) {
  return {broadcast(roots), broadcast(roots + 2), broadcast(roots + 4)};
}

// One node of 4 m numbers, in place.
template <bool kForward>
HWY_INLINE void radix4(float* re, int64_t plane, int64_t m, const float* roots) {
  const Roots c = broadcast_roots(roots);
  for (float* end = re + m; re < end; re += kLanes) {
    Complex a[4];
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) a[k] = load(re + k * m, re + k * m + plane);
    kForward ? split(a, c) : join(a, c);
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) store(a[k], re + k * m, re + k * m + plane);
  }
}

// The root of 2 m numbers, in place: c = (1 + i) / sqrt 2.
template <bool kForward>
void radix2(float* re, int64_t plane, int64_t m) {
  const V half = hn::Set(D(), 0.70710678118654752f);
  const Complex c = {half, half};
  for (float* end = re + m; re < end; re += kLanes) {
    const Complex a = load(re, re + plane), b = load(re + m, re + m + plane);
    if constexpr (kForward) {
      const Complex t = times(b, c);
      store(add(a, t), re, re + plane);
      store(sub(a, t), re + m, re + m + plane);
    } else {
      store(add(a, b), re, re + plane);
      store(times_conjugate(sub(a, b), c), re + m, re + m + plane);
    }
  }
}

#if HWY_TARGET <= HWY_AVX3
// The root of 8 m numbers, in place, and radix 4 of its two children, for which there are
// registers.
template <bool kForward>
void radix8(float* re, int64_t plane, int64_t m, const float* roots) {
  const V half = hn::Set(D(), 0.70710678118654752f);
  const Complex c = {half, half};
  for (float* end = re + m; re < end; re += kLanes) {
    Complex a[8];
    HWY_UNROLL(8)
    for (int k = 0; k < 8; ++k) a[k] = load(re + k * m, re + k * m + plane);
    if constexpr (kForward) {
      HWY_UNROLL(4)
      for (int k = 0; k < 4; ++k) {
        const Complex t = times(a[k + 4], c);
        a[k + 4] = sub(a[k], t);
        a[k] = add(a[k], t);
      }
      split(a, broadcast_roots(roots));
      split(a + 4, broadcast_roots(roots + 6));
    } else {
      join(a, broadcast_roots(roots));
      join(a + 4, broadcast_roots(roots + 6));
      HWY_UNROLL(4)
      for (int k = 0; k < 4; ++k) {
        const Complex t = sub(a[k], a[k + 4]);
        a[k] = add(a[k], a[k + 4]);
        a[k + 4] = times_conjugate(t, c);
      }
    }
    HWY_UNROLL(8)
    for (int k = 0; k < 8; ++k) store(a[k], re + k * m, re + k * m + plane);
  }
}
#endif

// Node `node` at `depth`, of `size` numbers, down to vectors, or back.
template <bool kForward>
void passes(const RingTransform& t, float* re, int64_t size, int64_t depth, int64_t node) {
  if (size <= kLanes) return;
  const int64_t plane = t.plane(), m = size / 4;
  if (size > kBlock) {
    if (kForward) radix4<true>(re, plane, m, t.roots(depth) + 6 * node);
    for (int64_t k = 0; k < 4; ++k) passes<kForward>(t, re + k * m, m, depth + 2, 4 * node + k);
    if (!kForward) radix4<false>(re, plane, m, t.roots(depth) + 6 * node);
    return;
  }
  const auto level = [&](int64_t nodes, int64_t at) {
    const float* roots = t.roots(at) + 6 * node * nodes;
    for (int64_t i = 0; i < nodes; ++i) {
      radix4<kForward>(re + i * (size / nodes), plane, size / nodes / 4, roots + 6 * i);
    }
  };
  if constexpr (kForward) {
    for (int64_t nodes = 1; size / nodes > kLanes; nodes *= 4, depth += 2) level(nodes, depth);
  } else {
    int64_t nodes = 1;
    for (; size / nodes > kLanes; nodes *= 4) depth += 2;
    while (nodes > 1) level(nodes /= 4, depth -= 2);
  }
}

template <bool kForward>
void all_passes(const RingTransform& t, float* signal) {
  const int64_t n = t.numbers();
  // Pairs of levels, and one more where their number is odd.
  const bool odd = hwy::Num0BitsBelowLS1Bit_Nonzero64(static_cast<uint64_t>(n / kLanes)) % 2 != 0;
  if (!odd) return passes<kForward>(t, signal, n, 0, 0);
#if HWY_TARGET <= HWY_AVX3
  const int64_t m = n / 8;
  if (m >= kLanes) {
    if (kForward) radix8<true>(signal, t.plane(), m, t.roots(1));
    for (int64_t k = 0; k < 8; ++k) passes<kForward>(t, signal + k * m, m, 3, k);
    if (!kForward) radix8<false>(signal, t.plane(), m, t.roots(1));
    return;
  }
#endif
  if (kForward) radix2<true>(signal, t.plane(), n / 2);
  for (int64_t k = 0; k < 2; ++k) passes<kForward>(t, signal + k * (n / 2), n / 2, 1, k);
  if (!kForward) radix2<false>(signal, t.plane(), n / 2);
}

#if HWY_TARGET == HWY_SCALAR

// Vectors of one number: nothing is left behind the passes.
void forward(const RingTransform& t, float* signal, float* spectrum, int64_t stride) {
  all_passes<true>(t, signal);
  for (int64_t q = 0; q < t.vectors(); ++q, spectrum += stride) {
    store(load(signal + q, signal + q + t.plane()), spectrum, spectrum + 1);
  }
}

void inverse(const RingTransform& t, const float* spectrum, float* signal) {
  for (int64_t q = 0; q < t.vectors(); ++q) {
    store(load(spectrum + 2 * q), signal + q, signal + q + t.plane());
  }
  all_passes<false>(t, signal);
}

#else

// Transposes every block of four lanes of four vectors.
HWY_INLINE void transpose(V& a, V& b, V& c, V& e) {
  const D d;
  const hn::RepartitionToWide<hn::RebindToUnsigned<D> > wide;
  const auto ab = hn::BitCast(wide, hn::InterleaveLower(d, a, b));
  const auto ce = hn::BitCast(wide, hn::InterleaveLower(d, c, e));
  const auto ab_upper = hn::BitCast(wide, hn::InterleaveUpper(d, a, b));
  const auto ce_upper = hn::BitCast(wide, hn::InterleaveUpper(d, c, e));
  a = hn::BitCast(d, hn::InterleaveLower(wide, ab, ce));
  b = hn::BitCast(d, hn::InterleaveUpper(wide, ab, ce));
  c = hn::BitCast(d, hn::InterleaveLower(wide, ab_upper, ce_upper));
  e = hn::BitCast(d, hn::InterleaveUpper(wide, ab_upper, ce_upper));
}

HWY_INLINE void transpose(Complex* a) {
  transpose(a[0].re, a[1].re, a[2].re, a[3].re);
  transpose(a[0].im, a[1].im, a[2].im, a[3].im);
}

// The roots of a vector's lanes.
HWY_INLINE Roots load_roots(const float* roots) {
  return {load(roots), load(roots + 2 * kLanes), load(roots + 4 * kLanes)};
}

#if HWY_TARGET <= HWY_AVX3

// Vectors of sixteen numbers: blocks of four are two levels below them.
constexpr int64_t kLongRoots = 3;

// Makes block k of vector v, of four lanes each, block v of vector k.
HWY_INLINE void transpose_blocks(V& a, V& b, V& c, V& e) {
  constexpr int kEven = 0x88, kOdd = 0xDD;
  const D d;
  const V ab = hn::ConcatLowerLower(d, b, a), ab_upper = hn::ConcatUpperUpper(d, b, a);
  const V ce = hn::ConcatLowerLower(d, e, c), ce_upper = hn::ConcatUpperUpper(d, e, c);
  a = V{_mm512_shuffle_f32x4(ab.raw, ce.raw, kEven)};
  b = V{_mm512_shuffle_f32x4(ab.raw, ce.raw, kOdd)};
  c = V{_mm512_shuffle_f32x4(ab_upper.raw, ce_upper.raw, kEven)};
  e = V{_mm512_shuffle_f32x4(ab_upper.raw, ce_upper.raw, kOdd)};
}

HWY_INLINE void transpose_blocks(Complex* a) {
  transpose_blocks(a[0].re, a[1].re, a[2].re, a[3].re);
  transpose_blocks(a[0].im, a[1].im, a[2].im, a[3].im);
}

HWY_INLINE void split_to_blocks(Complex* a, const float* roots) {
  transpose_blocks(a);
  split(a, load_roots(roots));
}

HWY_INLINE void join_blocks(Complex* a, const float* roots) {
  join(a, load_roots(roots));
  transpose_blocks(a);
}

#else

// Vectors of eight numbers: each of the two halves of two vectors are one level. Vectors of four
// are blocks of four.
constexpr int64_t kLongRoots = kLanes == 8 ? 2 : 0;

// Swaps the upper half of a with the lower half of b.
HWY_INLINE void exchange_halves(V& a, V& b) {
  const D d;
  const V lower = hn::ConcatLowerLower(d, b, a);
  b = hn::ConcatUpperUpper(d, b, a);
  a = lower;
}

HWY_INLINE void exchange_halves(Complex& a, Complex& b) {
  exchange_halves(a.re, b.re);
  exchange_halves(a.im, b.im);
}

HWY_INLINE void split_to_blocks(Complex* a, const float* roots) {
  if constexpr (kLanes == 4) return;
  HWY_UNROLL(2)
  for (int k = 0; k < 2; ++k) {
    exchange_halves(a[2 * k], a[2 * k + 1]);
    const Complex b = times(a[2 * k + 1], load(roots + k * 2 * kLanes));
    a[2 * k + 1] = sub(a[2 * k], b);
    a[2 * k] = add(a[2 * k], b);
  }
}

HWY_INLINE void join_blocks(Complex* a, const float* roots) {
  if constexpr (kLanes == 4) return;
  HWY_UNROLL(2)
  for (int k = 0; k < 2; ++k) {
    const Complex b = sub(a[2 * k], a[2 * k + 1]);
    a[2 * k] = add(a[2 * k], a[2 * k + 1]);
    a[2 * k + 1] = times_conjugate(b, load(roots + k * 2 * kLanes));
    exchange_halves(a[2 * k], a[2 * k + 1]);
  }
}

#endif

constexpr int64_t kBlockRoots = kLongRoots * 2 * kLanes;  // where those of blocks of four lie
constexpr int64_t kLastRoots = kBlockRoots + 3 * 2 * kLanes;

void forward(const RingTransform& t, float* signal, float* spectrum, int64_t stride) {
  all_passes<true>(t, signal);
  const float* roots = t.last_roots();
  for (int64_t q = 0; q < t.vectors(); q += 4, signal += 4 * kLanes, roots += kLastRoots) {
    Complex a[4];
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) {
      a[k] = load(signal + k * kLanes, signal + k * kLanes + t.plane());
    }
    split_to_blocks(a, roots);
    transpose(a);
    split(a, load_roots(roots + kBlockRoots));
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) {
      float* target = spectrum + (q + k) * stride;
      store(a[k], target, target + kLanes);
    }
  }
}

void inverse(const RingTransform& t, const float* spectrum, float* signal) {
  const float* roots = t.last_roots();
  float* target = signal;
  for (int64_t q = 0; q < t.vectors(); q += 4, target += 4 * kLanes, roots += kLastRoots) {
    Complex a[4];
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) a[k] = load(spectrum + (q + k) * 2 * kLanes);
    join(a, load_roots(roots + kBlockRoots));
    transpose(a);
    join_blocks(a, roots);
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) {
      store(a[k], target + k * kLanes, target + k * kLanes + t.plane());
    }
  }
  all_passes<false>(t, signal);
}

#endif

template <int kCount>
void multiply_inputs(const RingTransform& t, const float* weights, const float* inputs,
                     int64_t terms, float* sums) {
  const D d;
  const int64_t next_input = t.points() * terms;
  for (int64_t v = 0; v < t.vectors(); ++v, sums += 2 * kLanes) {
    // Four sums for each, so that no product waits for another one.
    V re_re[kCount], im_im[kCount], re_im[kCount], im_re[kCount];
    HWY_UNROLL(3)
    for (int s = 0; s < kCount; ++s) re_re[s] = im_im[s] = re_im[s] = im_re[s] = hn::Zero(d);
    for (int64_t c = 0; c < terms; ++c, weights += 2 * kLanes, inputs += 2 * kLanes) {
      const Complex w = load(weights);
      HWY_UNROLL(3)
      for (int s = 0; s < kCount; ++s) {
        const Complex x = load(inputs + s * next_input);
        re_re[s] = hn::MulAdd(w.re, x.re, re_re[s]);
        im_im[s] = hn::MulAdd(w.im, x.im, im_im[s]);
        re_im[s] = hn::MulAdd(w.re, x.im, re_im[s]);
        im_re[s] = hn::MulAdd(w.im, x.re, im_re[s]);
      }
    }
    HWY_UNROLL(3)
    for (int s = 0; s < kCount; ++s) {
      float* target = sums + s * t.points();
      store({hn::Sub(re_re[s], im_im[s]), hn::Add(re_im[s], im_re[s])}, target, target + kLanes);
    }
  }
}

void multiply(const RingTransform& t, const float* weights, const float* inputs, int64_t terms,
              int64_t count, float* sums) {
  if (count == 1) return multiply_inputs<1>(t, weights, inputs, terms, sums);
  if (count == 2) return multiply_inputs<2>(t, weights, inputs, terms, sums);
  multiply_inputs<3>(t, weights, inputs, terms, sums);
}

int64_t lanes() { return kLanes; }

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <numbers>

namespace engine::cpu {
namespace {

HWY_EXPORT(forward);
HWY_EXPORT(inverse);
HWY_EXPORT(multiply);
HWY_EXPORT(lanes);

// A node's c in turns, where the polynomial at (depth, node) is x^m - c and its children are the
// square roots of c: half the turns, and half a turn more.
double turns(int64_t depth, int64_t node) {
  double sum = 0.25 / static_cast<double>(int64_t{1} << depth);
  double bit = 0.5;
  for (; node > 0; node /= 2, bit /= 2) sum += static_cast<double>(node % 2) * bit;
  return sum;
}

struct Root {
  float re;
  float im;
};

Root root(double turns) {
  const double angle = 2.0 * std::numbers::pi * (turns - std::floor(turns));
  return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
}

// What four vectors of `lanes` read in the last pass; q is the first one's node at `depth`.
void add_last_roots(int64_t lanes, int64_t depth, int64_t q, std::vector<float>& roots) {
  const auto add = [&](const auto& turns_of_lane) {
    for (int64_t lane = 0; lane < lanes; ++lane) roots.push_back(root(turns_of_lane(lane)).re);
    for (int64_t lane = 0; lane < lanes; ++lane) roots.push_back(root(turns_of_lane(lane)).im);
  };
  // Those of a level of radix 4 whose nodes are those of each lane.
  const auto add_powers = [&](const auto& node_turns) {
    for (int64_t power = 1; power < 4; ++power) {
      add([&](int64_t lane) { return static_cast<double>(power) * node_turns(lane) / 4; });
    }
  };
  if (lanes == 4) return add_powers([&](int64_t lane) { return turns(depth, q + lane); });
  if (lanes == 16) {
    add_powers([&](int64_t lane) { return turns(depth, q + lane / 4); });
    add_powers([&](int64_t lane) { return turns(depth + 2, 4 * (q + lane / 4) + lane % 4); });
    return;
  }
  for (int64_t k = 0; k < 2; ++k) {
    add([&](int64_t lane) { return turns(depth, q + 2 * k + lane / 4) / 2; });
  }
  // Vector v is the first or second half of two nodes.
  add_powers([&](int64_t lane) {
    const int64_t v = lane % 4, block = lane / 4;
    return turns(depth + 1, 2 * (q + v / 2 * 2 + block) + v % 2);
  });
}

}  // namespace

RingTransform::RingTransform(int64_t points) : points_(points), lanes_(lanes()) {
  int64_t depths = 0;
  while (vectors() >> depths > 1) ++depths;
  starts_.resize(static_cast<size_t>(depths) + 1);
  for (int64_t depth = depths % 2; depth < depths; depth += 2) {
    starts_[static_cast<size_t>(depth)] = static_cast<int64_t>(roots_.size());
    for (int64_t node = 0; node < int64_t{1} << depth; ++node) {
      for (int64_t power = 1; power < 4; ++power) {
        const Root c = root(static_cast<double>(power) * turns(depth, node) / 4);
        roots_.push_back(c.re);
        roots_.push_back(c.im);
      }
    }
  }
  if (lanes_ == 1) return;
  for (int64_t q = 0; q < vectors(); q += 4) add_last_roots(lanes_, depths, q, last_roots_);
}

int64_t RingTransform::lanes() { return HWY_DYNAMIC_DISPATCH(lanes)(); }

void RingTransform::forward(float* signal, float* spectrum, int64_t stride) const {
  HWY_DYNAMIC_DISPATCH(forward)(*this, signal, spectrum, stride);
}

void RingTransform::inverse(const float* spectrum, float* signal) const {
  HWY_DYNAMIC_DISPATCH(inverse)(*this, spectrum, signal);
}

void RingTransform::multiply(const float* weights, const float* inputs, int64_t terms,
                             int64_t count, float* sums) const {
  HWY_DYNAMIC_DISPATCH(multiply)(*this, weights, inputs, terms, count, sums);
}

}  // namespace engine::cpu
#endif
