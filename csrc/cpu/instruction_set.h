// Kernels are compiled once per instruction set, in a namespace of its name; this chooses between
// the copies. Only for files that are compiled for every machine.
#pragma once

#include <cstdlib>
#include <string_view>

namespace mmhadaptive::cpu {

#if defined(__x86_64__)

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// The widest that the machine runs; ATEN_CPU_CAPABILITY lowers it as it does torch's.
inline InstructionSet instruction_set() {
  static const InstructionSet chosen = [] {
    const char* variable = std::getenv("ATEN_CPU_CAPABILITY");
    const std::string_view limit = variable == nullptr ? "avx512" : variable;
    if (limit == "default") {
      return InstructionSet::kBaseline;
    }
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("f16c");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (avx512 && limit != "avx2") {
      return InstructionSet::kAvx512;
    }
    return avx2 ? InstructionSet::kAvx2 : InstructionSet::kBaseline;
  }();
  return chosen;
}

template <class Function>
Function* widest(Function* baseline, Function* avx2, Function* avx512) {
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      return avx512;
    case InstructionSet::kAvx2:
      return avx2;
    default:
      return baseline;
  }
}

#define MMHADAPTIVE_WIDEST(function) widest(baseline::function, avx2::function, avx512::function)

#else

#define MMHADAPTIVE_WIDEST(function) baseline::function

#endif

}  // namespace mmhadaptive::cpu
