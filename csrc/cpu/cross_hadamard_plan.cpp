#include "cross_hadamard_plan.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace mmhadaptive::cpu {
namespace {

// Smaller tiles than this many pixels cost more than they bring.
constexpr int64_t kMinTile = 64;

template <class A>
Parameters parameters_of(const AnyParameters& p) {
  static const std::vector<A> ones(pair_count(kMaxSelected), 1);
  static const std::vector<A> zeros(pair_count(kMaxSelected), 0);
  return {p.index, p.gate, p.weight == nullptr ? ones.data() : p.weight,
          p.bias == nullptr ? zeros.data() : p.bias,
          p.alpha == nullptr ? 1.0 : *static_cast<const A*>(p.alpha)};
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw std::runtime_error(message.str());
}

}  // namespace

TiledShape tiled(const Shape& shape, int64_t tasks) {
  const int64_t tiles_wanted = divide_up(tasks, std::max<int64_t>(shape.batch, 1));
  const int64_t tiles = std::max({int64_t{1}, divide_up(shape.pixels, kMaxTile),
                                  std::min(tiles_wanted, divide_up(shape.pixels, kMinTile))});
  return {shape, std::max<int64_t>(1, divide_up(divide_up(shape.pixels, tiles), 16)) * 16};
}

void check_index(const Call& call) {
  const Shape& shape = call.shape;
  std::vector<int64_t> seen_in(shape.channels, -1);
  for (int64_t n = 0; n < shape.batch; ++n) {
    for (int s = 0; s < shape.selected; ++s) {
      const int64_t c = call.parameters.index[n * shape.selected + s];
      if (c < 0 || c >= shape.channels) {
        fail("index[", n, ", ", s, "] is ", c, ", outside of the ", shape.channels,
             " channels of x");
      }
      if (seen_in[c] == n) {
        fail("index[", n, "] selects channel ", c, " more than once");
      }
      seen_in[c] = n;
    }
  }
}

Parameters kernel_parameters(const Call& call) {
  return call.element == Element::kDouble ? parameters_of<double>(call.parameters)
                                          : parameters_of<float>(call.parameters);
}

}  // namespace mmhadaptive::cpu
