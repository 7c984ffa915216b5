// Loops over rows of memory in vectors. As in vector_math.h, each instruction set has its own
// copies, and nothing from the standard library is used.
#pragma once

#include "vector_math.h"

namespace mmhadaptive::cpu {
namespace {

template <auto constant>
struct Constant {
  static constexpr auto value = constant;
};

MMHADAPTIVE_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Channels_last kernels ask for the next pixels themselves: their streams of short, partly masked
// accesses are lost on hardware prefetchers. An address beyond the end of the tensor does no harm.
constexpr int kLine = 64;
MMHADAPTIVE_INLINE void prefetch(const void* address) {
  __builtin_prefetch(address);
}
MMHADAPTIVE_INLINE void prefetch_to_write(const void* address) {
  __builtin_prefetch(address, 1);
}

// v, loaded once: a compiler may load anew for every use, as an operand in memory costs no
// instruction.
template <class V>
MMHADAPTIVE_INLINE V in_register(V v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#endif
  return v;
}

template <class T>
MMHADAPTIVE_INLINE void copy(T* to, const T* from, int64_t count) {
  __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
}

// The first half loads whole vectors and the last one what is left of the row.
template <class Math, class Body>
MMHADAPTIVE_INLINE void for_vectors(int64_t count, const Body& body) {
  int64_t offset = 0;
  for (; offset + Math::lanes <= count; offset += Math::lanes) {
    body(offset, Math::lanes);
  }
  if (offset < count) {
    body(offset, static_cast<int>(count - offset));
  }
}

template <class Math, class T>
MMHADAPTIVE_INLINE typename Math::V load_up_to(const T* p, int count) {
  return count == Math::lanes ? Math::load(p) : Math::load(p, count);
}

template <class Math, class T>
MMHADAPTIVE_INLINE void store_up_to(T* p, typename Math::V v, int count) {
  if (count == Math::lanes) {
    Math::store(p, v);
  } else {
    Math::store(p, v, count);
  }
}

}  // namespace
}  // namespace mmhadaptive::cpu
