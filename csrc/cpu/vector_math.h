// Vectors of the widest kind that this translation unit is compiled for.
//
// The anonymous namespace is deliberate: each instruction set gets its own copies, and none of
// them can be merged with another's by the linker. For the same reason nothing from the standard
// library is used here.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../core/common.h"

namespace mmhadaptive::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

struct BFloat16 {
  uint16_t bits;
};

struct Half {
  uint16_t bits;
};

template <class Scalar>
struct VectorOf {
  typedef Scalar type __attribute__((vector_size(kVectorBytes)));
};

using FloatVector = VectorOf<float>::type;
using DoubleVector = VectorOf<double>::type;
using BitsVector = VectorOf<uint32_t>::type;
using IntVector = VectorOf<int32_t>::type;
typedef uint16_t ShortVector __attribute__((vector_size(kVectorBytes / 2)));

template <class Vector, class T>
MMHADAPTIVE_INLINE Vector load_bytes(const T* p) {
  Vector v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class Vector, class T>
MMHADAPTIVE_INLINE Vector load_bytes(const T* p, int count) {
  T lanes[sizeof(Vector) / sizeof(T)] = {};
  for (int lane = 0; lane < count; ++lane) {
    lanes[lane] = p[lane];
  }
  return load_bytes<Vector>(lanes);
}

template <class Vector, class T>
MMHADAPTIVE_INLINE void store_bytes(T* p, Vector v) {
  __builtin_memcpy(p, &v, sizeof v);
}

template <class Vector, class T>
MMHADAPTIVE_INLINE void store_bytes(T* p, Vector v, int count) {
  T lanes[sizeof(Vector) / sizeof(T)];
  store_bytes(lanes, v);
  for (int lane = 0; lane < count; ++lane) {
    p[lane] = lanes[lane];
  }
}

#if defined(__AVX512F__)
MMHADAPTIVE_INLINE FloatVector load_partial(const float* p, int count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
}
MMHADAPTIVE_INLINE ShortVector load_partial(const uint16_t* p, int count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  return reinterpret_cast<ShortVector>(_mm256_maskz_loadu_epi16(mask, p));
}
MMHADAPTIVE_INLINE void store_partial(float* p, FloatVector v, int count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), v);
}
MMHADAPTIVE_INLINE void store_partial(uint16_t* p, ShortVector v, int count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  _mm256_mask_storeu_epi16(p, mask, reinterpret_cast<__m256i>(v));
}
#else
MMHADAPTIVE_INLINE FloatVector load_partial(const float* p, int count) {
  return load_bytes<FloatVector>(p, count);
}
MMHADAPTIVE_INLINE ShortVector load_partial(const uint16_t* p, int count) {
  return load_bytes<ShortVector>(p, count);
}
MMHADAPTIVE_INLINE void store_partial(float* p, FloatVector v, int count) {
  store_bytes(p, v, count);
}
MMHADAPTIVE_INLINE void store_partial(uint16_t* p, ShortVector v, int count) {
  store_bytes(p, v, count);
}
#endif
MMHADAPTIVE_INLINE DoubleVector load_partial(const double* p, int count) {
  return load_bytes<DoubleVector>(p, count);
}
MMHADAPTIVE_INLINE void store_partial(double* p, DoubleVector v, int count) {
  store_bytes(p, v, count);
}

MMHADAPTIVE_INLINE FloatVector widen_bfloat16(ShortVector v) {
  return reinterpret_cast<FloatVector>(__builtin_convertvector(v, BitsVector) << 16);
}

// Round to nearest even; a NaN stays one.
MMHADAPTIVE_INLINE ShortVector narrow_bfloat16(FloatVector v) {
  const BitsVector bits = reinterpret_cast<BitsVector>(v);
  const BitsVector rounded = bits + ((bits >> 16 & 1) + 0x7fffu);
  const BitsVector nan = bits | 0x400000u;
  return __builtin_convertvector((v == v ? rounded : nan) >> 16, ShortVector);
}

#if defined(__AVX512F__)
MMHADAPTIVE_INLINE FloatVector widen_half(ShortVector v) {
  return _mm512_cvtph_ps(reinterpret_cast<__m256i>(v));
}
MMHADAPTIVE_INLINE ShortVector narrow_half(FloatVector v) {
  return reinterpret_cast<ShortVector>(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(__F16C__)
MMHADAPTIVE_INLINE FloatVector widen_half(ShortVector v) {
  return _mm256_cvtph_ps(reinterpret_cast<__m128i>(v));
}
MMHADAPTIVE_INLINE ShortVector narrow_half(FloatVector v) {
  return reinterpret_cast<ShortVector>(_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
#else
MMHADAPTIVE_INLINE FloatVector widen_half(ShortVector v) {
  const BitsVector h = __builtin_convertvector(v, BitsVector);
  const BitsVector sign = (h & 0x8000u) << 16;
  const BitsVector magnitude = (h & 0x7fffu) << 13;
  // The exponent is off by 112 (the difference of the biases); the product also normalises
  // subnormal halves. Infinity and NaN keep an exponent of all ones.
  const FloatVector scaled = reinterpret_cast<FloatVector>(magnitude) * 0x1p112f;
  const BitsVector special = magnitude | 0x7f800000u;
  const BitsVector finite = reinterpret_cast<BitsVector>(scaled);
  return reinterpret_cast<FloatVector>(sign | (magnitude >= 0x0f800000u ? special : finite));
}
MMHADAPTIVE_INLINE ShortVector narrow_half(FloatVector v) {
  const BitsVector bits = reinterpret_cast<BitsVector>(v);
  const BitsVector sign = bits >> 16 & 0x8000u;
  const BitsVector magnitude = bits & 0x7fffffffu;
  const BitsVector rounded = magnitude + (0xfffu + (magnitude >> 13 & 1));
  const BitsVector normal = (rounded - (112u << 23)) >> 13;
  // Adding 0.5 puts the unit of a subnormal half at the last place of the float.
  const FloatVector shifted = reinterpret_cast<FloatVector>(magnitude) + 0.5f;
  const BitsVector subnormal = reinterpret_cast<BitsVector>(shifted) - 0x3f000000u;
  BitsVector h = magnitude < (113u << 23) ? subnormal : normal;
  h = rounded >= (143u << 23) ? h * 0 + 0x7c00u : h;
  h = magnitude > 0x7f800000u ? h * 0 + 0x7e00u : h;
  return __builtin_convertvector(sign | h, ShortVector);
}
#endif

MMHADAPTIVE_INLINE float widen(float v) {
  return v;
}
MMHADAPTIVE_INLINE double widen(double v) {
  return v;
}
MMHADAPTIVE_INLINE float widen(BFloat16 v) {
  return widen_bfloat16(ShortVector{v.bits})[0];
}
MMHADAPTIVE_INLINE float widen(Half v) {
  return widen_half(ShortVector{v.bits})[0];
}
MMHADAPTIVE_INLINE void narrow(float v, float* to) {
  *to = v;
}
MMHADAPTIVE_INLINE void narrow(double v, double* to) {
  *to = v;
}
MMHADAPTIVE_INLINE void narrow(float v, BFloat16* to) {
  to->bits = narrow_bfloat16(FloatVector{v})[0];
}
MMHADAPTIVE_INLINE void narrow(float v, Half* to) {
  to->bits = narrow_half(FloatVector{v})[0];
}

MMHADAPTIVE_INLINE float square_root(float v) {
  return __builtin_sqrtf(v);
}
MMHADAPTIVE_INLINE double square_root(double v) {
  return __builtin_sqrt(v);
}

// What does not depend on the type. `Bits` are unsigned integers of the size of A.
template <class A, class Bits>
struct AnyVectorMath {
  using V = typename VectorOf<A>::type;
  static constexpr int lanes = kVectorBytes / sizeof(A);

  static MMHADAPTIVE_INLINE V half() {
    return broadcast(A(0.5));
  }
  static MMHADAPTIVE_INLINE V broadcast(A value) {
    return value - V{};
  }
  static MMHADAPTIVE_INLINE V absolute(V v) {
    using BitsV = typename VectorOf<Bits>::type;
    return reinterpret_cast<V>(reinterpret_cast<BitsV>(v) & (~Bits(0) >> 1));
  }
  static MMHADAPTIVE_INLINE V reciprocal(V v) {
    return 1 / v;
  }
  static MMHADAPTIVE_INLINE V reciprocal_root(V v) {
    for (int lane = 0; lane < lanes; ++lane) {
      v[lane] = square_root(v[lane]);
    }
    return 1 / v;
  }
  static MMHADAPTIVE_INLINE A sum(V v) {
    A total = 0;
    for (int lane = 0; lane < lanes; ++lane) {
      total += v[lane];
    }
    return total;
  }

  static MMHADAPTIVE_INLINE V load(const A* p) {
    return load_bytes<V>(p);
  }
  static MMHADAPTIVE_INLINE V load(const A* p, int count) {
    return load_partial(p, count);
  }
  static MMHADAPTIVE_INLINE void store(A* p, V v) {
    store_bytes(p, v);
  }
  static MMHADAPTIVE_INLINE void store(A* p, V v, int count) {
    store_partial(p, v, count);
  }
};

template <class A>
struct VectorMath;

template <>
struct VectorMath<float> : AnyVectorMath<float, uint32_t> {
#if defined(__AVX512F__)
  static MMHADAPTIVE_INLINE V reciprocal(V v) {
    // 14 bits and one Newton step: within one unit in the last place, at a third of a division.
    const V r = _mm512_rcp14_ps(v);
    return r + r * (1 - v * r);
  }
  static MMHADAPTIVE_INLINE float sum(V v) {
    return _mm512_reduce_add_ps(v);
  }
#endif
  // Cephes' polynomial on [-ln 2 / 2, ln 2 / 2], scaled by a power of two.
  static MMHADAPTIVE_INLINE V exponential(V v) {
    v = v < -87.0f ? broadcast(-87.0f) : v;
    v = v > 88.0f ? broadcast(88.0f) : v;
    const V shifter = broadcast(12582912.0f);
    const V n = (v * 1.44269504f + shifter) - shifter;
    const V r = (v - n * 0.693359375f) + n * 2.12194440e-4f;
    V poly = broadcast(1.9875691500e-4f);
    poly = poly * r + 1.3981999507e-3f;
    poly = poly * r + 8.3334519073e-3f;
    poly = poly * r + 4.1665795894e-2f;
    poly = poly * r + 1.6666665459e-1f;
    poly = poly * r + 5.0000001201e-1f;
    poly = poly * r * r + r + 1;
    const IntVector exponent = __builtin_convertvector(n, IntVector);
    return poly * reinterpret_cast<V>((exponent + 127) << 23);
  }

  using AnyVectorMath::load;
  using AnyVectorMath::store;
  static MMHADAPTIVE_INLINE V load(const BFloat16* p) {
    return widen_bfloat16(load_bytes<ShortVector>(p));
  }
  static MMHADAPTIVE_INLINE V load(const BFloat16* p, int count) {
    return widen_bfloat16(load_partial(&p->bits, count));
  }
  static MMHADAPTIVE_INLINE V load(const Half* p) {
    return widen_half(load_bytes<ShortVector>(p));
  }
  static MMHADAPTIVE_INLINE V load(const Half* p, int count) {
    return widen_half(load_partial(&p->bits, count));
  }
  static MMHADAPTIVE_INLINE void store(BFloat16* p, V v) {
    store_bytes(p, narrow_bfloat16(v));
  }
  static MMHADAPTIVE_INLINE void store(BFloat16* p, V v, int count) {
    store_partial(&p->bits, narrow_bfloat16(v), count);
  }
  static MMHADAPTIVE_INLINE void store(Half* p, V v) {
    store_bytes(p, narrow_half(v));
  }
  static MMHADAPTIVE_INLINE void store(Half* p, V v, int count) {
    store_partial(&p->bits, narrow_half(v), count);
  }
};

// Double is there for gradcheck: right, not tuned.
template <>
struct VectorMath<double> : AnyVectorMath<double, uint64_t> {
  static MMHADAPTIVE_INLINE V exponential(V v) {
    for (int lane = 0; lane < lanes; ++lane) {
      v[lane] = __builtin_exp(v[lane]);
    }
    return v;
  }
};

}  // namespace
}  // namespace mmhadaptive::cpu
