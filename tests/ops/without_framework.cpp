// The forward on the CPU with no more than csrc/core and csrc/cpu: reads a call from standard input
// and writes y to standard output.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

#include "cpu/cross_hadamard.h"

namespace {

using namespace mmhadaptive;

constexpr int kThreads = 3;

template <class T>
std::vector<T> read(int64_t count) {
  std::vector<T> values(count);
  if (std::fread(values.data(), sizeof(T), count, stdin) != values.size()) {
    std::exit(2);
  }
  return values;
}

void parallel_for(int64_t size, int64_t grain, const cpu::Body& body) {
  const int64_t step = std::max(grain, divide_up(size, kThreads));
  std::vector<std::thread> threads;
  for (int64_t begin = 0; begin < size; begin += step) {
    threads.emplace_back(body, begin, std::min(begin + step, size));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace

int main() {
  const auto header = read<int64_t>(6);
  const int64_t batch = header[0], channels = header[1], pixels = header[2];
  const int selected = static_cast<int>(header[3]), pairs = pair_count(selected);
  const auto norm = static_cast<Norm>(header[4]);
  const auto layout = static_cast<Layout>(header[5]);
  const auto index = read<int64_t>(batch * selected);
  const auto gate = read<float>(batch * selected), alpha = read<float>(1);
  const auto weight = read<float>(pairs), bias = read<float>(pairs);
  const auto x = read<float>(batch * channels * pixels);
  std::vector<float> y(batch * (channels + pairs) * pixels);
  const bool parameters = norm != Norm::kNone;
  const ForwardCall call{
      {{batch, channels, pixels, selected, pairs},
       {index.data(), gate.data(), parameters ? alpha.data() : nullptr,
        parameters ? weight.data() : nullptr, parameters ? bias.data() : nullptr},
       {x.data(), channels * pixels, layout == Layout::kPlanar ? pixels : channels},
       Element::kFloat,
       norm,
       layout},
      y.data()};
  try {
    cpu::forward(call, kThreads, parallel_for);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    return 1;
  }
  std::fwrite(y.data(), sizeof(float), y.size(), stdout);
}
