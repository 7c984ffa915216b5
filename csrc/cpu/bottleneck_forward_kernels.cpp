// setup.py compiles this file once per instruction set, and MMHADAPTIVE_INSTRUCTION_SET names the
// namespace of the copy.
#include "bottleneck_kernels.h"
#include "depthwise_convolution_parts.h"

namespace mmhadaptive::cpu {
namespace {

using Math = VectorMath<float>;
using V = Math::V;

constexpr int kVectors = kPanel / Math::lanes;  // of a panel

// Sums that stay in registers: rows x panels of them. The rest is for a row of the weight and a
// value of a.
#if defined(__AVX512F__)
constexpr int kMostPanels = 4;
constexpr int most_rows(int panels) {
  return panels == 4 ? 6 : 8;
}
#elif defined(__AVX2__)
constexpr int kMostPanels = 1;
constexpr int most_rows(int) {
  return 6;
}
#else
constexpr int kMostPanels = 1;
constexpr int most_rows(int) {
  return 2;
}
#endif

// Values of a that all panels are multiplied with before the next ones: they stay in the
// second-level cache.
constexpr int64_t kCached = 1 << 15;
// A multiple of all numbers of rows.
constexpr int64_t kRowsTogether = 24;

// Weights that come next: they are not in the cache as a rule, since all of a network's are more.
struct Ahead {
  const float* weight;
  int64_t step;  // none where a tile has nothing to fetch
};

// `length`: of a segment, where it is known when this is compiled; else 0.
template <int rows, int panels, int length>
void multiply_tile(const Product& op, const float* a, int64_t panel, int64_t row, Ahead ahead) {
  constexpr int kSums = panels * kVectors;
  const int64_t panel_size = op.segments * op.length * kPanel;
  const float* weight = op.weight + panel * panel_size;
  const int64_t step = op.pixel_stride;
  V sums[rows][kSums];
#pragma GCC unroll 16
  for (int v = 0; v < kSums; ++v) {
    const V bias = Math::load(op.bias + panel * kPanel + v * Math::lanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      sums[r][v] = bias;
    }
  }
  for (int s = 0; s < op.segments; ++s) {
    const float* from = a + op.offsets[s];
    if (length == 0 && op.segments > 1) {
      // Patches are many short streams, which hardware does not foresee: those of the next tile.
      for (int64_t at = 0; at < rows * step; at += kLine / sizeof(float)) {
        prefetch(from + rows * step + at);
      }
    }
    for (int64_t k = 0; k < (length > 0 ? length : op.length); ++k, weight += kPanel) {
      if (length == 0) {
        __builtin_prefetch(ahead.weight, 0, 2);
        ahead.weight += ahead.step;
      }
      V w[kSums];
#pragma GCC unroll 16
      for (int v = 0; v < kSums; ++v) {
        w[v] = in_register(
            Math::load(weight + v / kVectors * panel_size + v % kVectors * Math::lanes));
      }
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const V value = Math::broadcast(from[r * step + k]);
#pragma GCC unroll 16
        for (int v = 0; v < kSums; ++v) {
          sums[r][v] += value * w[v];
        }
      }
    }
  }
  const int64_t first = panel * kPanel;
#pragma GCC unroll 16
  for (int v = 0; v < kSums; ++v) {
    const int64_t channel = first + v * Math::lanes;
    const int count = static_cast<int>(smaller(op.channels - channel, Math::lanes));
    if (count <= 0) {
      break;
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      V sum = activated(op.activation, sums[r][v]);
      const int64_t at = (row + r) * op.y_stride + channel;
      if (op.residual != nullptr) {
        sum += load_up_to<Math>(op.residual + at, count);
      }
      store_up_to<Math>(op.y + at, sum, count);
    }
  }
}

template <int panels, int length, int rows>
MMHADAPTIVE_INLINE void multiply_rows(int count, const Product& op, const float* a, int64_t panel,
                                      int64_t row, Ahead ahead) {
  if constexpr (rows > 0) {
    if (count == rows) {
      multiply_tile<rows, panels, length>(op, a, panel, row, ahead);
    } else {
      multiply_rows<panels, length, rows - 1>(count, op, a, panel, row, ahead);
    }
  }
}

// Rows [begin, end), which may be of several lines; tiles do not go beyond a line.
template <int panels, int length>
void multiply_panels(const Product& op, int64_t panel, int64_t begin, int64_t end) {
  constexpr int kRows = most_rows(panels);
  // What follows in memory: the next panels, or the weights of what is computed next.
  const int64_t values = op.segments * op.length * kPanel;
  const float* weight = op.weight + panel * values;
  const float* next = weight + panels * values;
  int parts = panels;
  for (int64_t row = begin; row < end;) {
    const int64_t line = row / op.line_pixels;
    const int64_t column = row - line * op.line_pixels;
    const int64_t count = smaller(end - row, op.line_pixels - column);
    const float* a = op.a + line / op.image_lines * op.image_stride +
                     line % op.image_lines * op.line_stride + column * op.pixel_stride;
    int64_t done = 0;
    for (int64_t tiles = divide_up(count, kRows); tiles > 0; --tiles) {
      const int rows = static_cast<int>(divide_up(count - done, tiles));
      const Ahead ahead = parts > 0 ? Ahead{next, kPanel} : Ahead{weight, 0};
      multiply_rows<panels, length, kRows>(rows, op, a + done * op.pixel_stride, panel, row + done,
                                           ahead);
      next += values;
      --parts;
      done += rows;
    }
    row += count;
  }
}

template <int panels>
MMHADAPTIVE_INLINE void multiply_some(int count, const Product& op, int64_t panel, int64_t begin,
                                      int64_t end) {
  if constexpr (panels > 0) {
    if (count == panels) {
      // Pairs of pixels in a planar image: of a network's first convolution.
      if (op.length == 2) {
        multiply_panels<panels, 2>(op, panel, begin, end);
      } else {
        multiply_panels<panels, 0>(op, panel, begin, end);
      }
    } else {
      multiply_some<panels - 1>(count, op, panel, begin, end);
    }
  }
}

void multiply(const Product& op, int64_t begin, int64_t end) {
  const int64_t panels = divide_up(op.channels, kPanel);
  const int64_t rows = kCached / (op.segments * op.length) / kRowsTogether * kRowsTogether;
  const int64_t chunk = rows < kRowsTogether ? kRowsTogether : rows;
  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t last = smaller(end, first + chunk);
    int64_t panel = 0;
    for (int64_t groups = divide_up(panels, kMostPanels); groups > 0; --groups) {
      const int count = static_cast<int>(divide_up(panels - panel, groups));
      multiply_some<kMostPanels>(count, op, panel, first, last);
      panel += count;
    }
  }
}

// The means of a map's channels.
void pool(const Select& op, const float* x, float* means) {
  const V scale = Math::broadcast(1.0f / static_cast<float>(op.pixels));
  for_vectors<Math>(op.channels, [&](int64_t channel, int part) {
    V sums[4] = {};
    int64_t pixel = 0;
    for (; pixel + 4 <= op.pixels; pixel += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        sums[i] += load_up_to<Math>(x + (pixel + i) * op.channels + channel, part);
      }
    }
    for (; pixel < op.pixels; ++pixel) {
      sums[0] += load_up_to<Math>(x + pixel * op.channels + channel, part);
    }
    store_up_to<Math>(means + channel, scale * ((sums[0] + sums[1]) + (sums[2] + sums[3])), part);
  });
}

// The channels of the largest scores, in descending order; of equal ones the first. A score that
// is no number counts as infinite.
void largest(const float* scores, int64_t channels, int selected, int64_t* index) {
  float kept[kMaxSelected];
  int count = 0;
  for (int64_t c = 0; c < channels; ++c) {
    const float score = scores[c] == scores[c] ? scores[c] : __builtin_inff();
    if (count == selected && score <= kept[count - 1]) {
      continue;
    }
    int at = count == selected ? count - 1 : count++;
    for (; at > 0 && kept[at - 1] < score; --at) {
      kept[at] = kept[at - 1];
      index[at] = index[at - 1];
    }
    kept[at] = score;
    index[at] = c;
  }
}

void select(const Select& op, int64_t begin, int64_t end) {
  for (int64_t n = begin; n < end; ++n) {
    const float* x = op.x + n * op.pixels * op.channels;
    int64_t found[kMaxSelected];
    const int64_t* index = found;
    if (op.selection == Selection::kGiven) {
      index = op.index + n * op.selected;
    } else if (op.selection == Selection::kFixed) {
      for (int s = 0; s < op.selected; ++s) {
        found[s] = s;
      }
    } else {
      float* scores = op.values + n * 2 * op.channels;
      if (op.selection == Selection::kStatic) {
        copy(scores, op.scores, op.channels);
      } else {
        float* means = scores + op.channels;
        pool(op, x, means);
        const int64_t half = op.eca_kernel / 2;
        for (int64_t c = 0; c < op.channels; ++c) {
          float sum = 0;
          for (int64_t t = 0; t < op.eca_kernel; ++t) {
            const int64_t other = c + t - half;
            sum += other >= 0 && other < op.channels ? op.scores[t] * means[other] : 0.0f;
          }
          scores[c] = sum;
        }
      }
      largest(scores, op.channels, op.selected, found);
    }
    float* z = op.z + n * op.pixels * op.z_stride;
    for (int64_t pixel = 0; pixel < op.pixels; ++pixel) {
      for (int s = 0; s < op.selected; ++s) {
        z[s] = x[index[s]];
      }
      for (int64_t s = op.selected; s < op.z_stride; ++s) {
        z[s] = 0;
      }
      x += op.channels;
      z += op.z_stride;
    }
  }
}

// Rows of a scratch map that a panel of the expansion is brought to; `to` is the first of them.
struct Band {
  int64_t first;
  int64_t last;
  float* to;
};

void load_panel(const Expand& op, const DepthwisePlan& plan, int64_t n, int64_t panel, Band band) {
  const DepthwiseShape& shape = plan.shape;
  const int count = static_cast<int>(smaller(kPanel, op.first - panel * kPanel));
  const float* x = op.x + n * shape.height * shape.width * op.x_stride + panel * kPanel;
  const int64_t distance = plan.x.row * kPanel;
  for (int64_t row = band.first; row < band.last; ++row) {
    for (int r = 0; r < shape.stride; ++r) {
      Transfer<float, Layout::kInterleaved>::load(
          x + (row * shape.width + r) * op.x_stride, op.x_stride, shape.stride,
          plan.phases[r].width, count, 0,
          band.to + (row - band.first) * distance + plan.phases[r].start * kPanel);
    }
  }
}

// The products of a panel lie in runs that have the left channel in common, and their right ones
// follow each other.
struct Run {
  int left;
  int right;
  int lane;
};

template <Norm norm>
void make_products(const Expand& op, int64_t n, int64_t panel, float* staged, Band band) {
  const DepthwisePlan& plan = op.plan;
  const DepthwiseShape& shape = plan.shape;
  const int k = op.selected;
  const int64_t distance = plan.x.row * kPanel;
  Run runs[kPanel];
  int count = 0;
  const int64_t first = panel * kPanel;
  const int lanes = static_cast<int>(smaller(kPanel, op.second - first));
  Pair pair = pair_direct(k, static_cast<int>(first));
  for (int lane = 0; lane < lanes;) {
    runs[count++] = {pair.i, pair.j, lane};
    lane += k - pair.j;
    ++pair.i;
    pair.j = pair.i + 1;
  }
  V weight[kVectors], bias[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    weight[v] = Math::load(op.norm_weight + first + v * Math::lanes);
    bias[v] = Math::load(op.norm_bias + first + v * Math::lanes);
  }
  const float* z = op.z + n * shape.height * shape.width * op.z_stride;
  const int64_t columns = smaller(shape.width, Expand::kStaged);
  const int64_t rows = Expand::kStaged / columns;
  for (int64_t top = band.first; top < band.last; top += rows) {
    const int64_t bottom = smaller(band.last, top + rows);
    for (int64_t left = 0; left < shape.width; left += columns) {
      const int64_t width = smaller(columns, shape.width - left);
      // A run is written in whole panels; the next one overwrites what is too much, and so does
      // the next pixel.
      float* to = staged;
      for (int64_t row = top; row < bottom; ++row) {
        const float* from = z + (row * shape.width + left) * op.z_stride;
        for (int64_t column = 0; column < width; ++column) {
          for (int r = 0; r < count; ++r) {
            const V scaled = Math::broadcast(op.alpha * from[runs[r].left]);
            float* at = to + runs[r].lane;
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) {
              Math::store(at + v * Math::lanes,
                          scaled * Math::load(from + runs[r].right + v * Math::lanes));
            }
          }
          from += op.z_stride;
          to += kPanel;
        }
      }
      const float* from = staged;
      for (int64_t row = top; row < bottom; ++row) {
        float* at = band.to + (row - band.first) * distance;
        for (int64_t column = left; column < left + width; ++column) {
          const DepthwisePhase& phase = plan.phases[column & (shape.stride - 1)];
          float* pixel = at + (phase.start + (column >> (shape.stride - 1))) * kPanel;
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) {
            const V f = Normalisation<norm, Math>::value(Math::load(from + v * Math::lanes));
            Math::store(pixel + v * Math::lanes, weight[v] * f + bias[v]);
          }
          from += kPanel;
        }
      }
    }
  }
}

void make_products(const Expand& op, int64_t n, int64_t panel, float* staged, Band band) {
  switch (op.norm) {
    case Norm::kSoftsign:
      return make_products<Norm::kSoftsign>(op, n, panel, staged, band);
    case Norm::kSigmoid:
      return make_products<Norm::kSigmoid>(op, n, panel, staged, band);
    case Norm::kAlgebraic:
      return make_products<Norm::kAlgebraic>(op, n, panel, staged, band);
    default:
      return make_products<Norm::kNone>(op, n, panel, staged, band);
  }
}

Convolved<float> convolved_panel(const DepthwisePlan& plan) {
  Convolved<float> given{};
  given.width = plan.shape.out_width();
  given.channels = kPanel;
  given.from_row = plan.x.row * kPanel;
  given.from_step = given.from_row;
  given.weight_row = plan.shape.kernel * kPanel;
  given.weight_step = given.weight_row;
  given.weight_tap = plan.shape.stride * kPanel;
  return given;
}

// Ghost's cheap half of rows of the panel, from the map of it that begins with row `first`.
void make_cheap(const Expand& op, int64_t panel, const float* x, int64_t first, float* line,
                Band band) {
  const DepthwisePlan& plan = op.cheap;
  const DepthwisePlan& target = op.plan;
  Convolved<float> given = convolved_panel(plan);
  const int stride = target.shape.stride;
  const int64_t width = plan.shape.width;
  const DepthwisePhase& phase = plan.phases[0];
  given.start = op.cheap_bias + panel * kPanel;
  given.from = x + (phase.start + phase.offset) * kPanel - first * given.from_row;
  given.weight = op.cheap_weight + panel * plan.weights() + phase.first * kPanel;
  given.to_column = kPanel;
  given.to_row = target.x.row * kPanel;
  given.taps = plan.row_taps + band.first;
  if (stride == 1) {
    given.to = band.to + target.phases[0].start * kPanel;
    given.rows = band.last - band.first;
    convolve(phase.taps, given);
    return;
  }
  // The columns of each phase are apart.
  given.to = line;
  given.rows = 1;
  for (int64_t row = band.first; row < band.last; ++row, ++given.taps) {
    convolve(phase.taps, given);
    float* to = band.to + (row - band.first) * given.to_row;
    for (int r = 0; r < stride; ++r) {
      float* at = to + target.phases[r].start * kPanel;
      for (int64_t column = r; column < width; column += stride, at += kPanel) {
        copy(at, line + column * kPanel, kPanel);
      }
    }
  }
}

// The depthwise convolution of a band of a panel.
void convolve_panel(const Expand& op, int64_t n, int64_t panel, int64_t top, Band band,
                    float* sums) {
  const bool second = panel >= op.first_panels();
  const int64_t channel =
      second ? op.y_second + (panel - op.first_panels()) * kPanel : panel * kPanel;
  const int64_t end = second ? op.y_stride : op.y_second;
  const DepthwisePlan& plan = op.plan;
  const DepthwiseShape& shape = plan.shape;
  const int64_t width = shape.out_width();
  Convolved<float> given = convolved_panel(plan);
  const float* weight = op.weight + panel * plan.weights();
  float* y = op.y + n * shape.out_height() * width * op.y_stride + channel;
  given.to = y + top * width * op.y_stride;
  given.to_row = width * op.y_stride;
  given.to_column = op.y_stride;
  given.rows = smaller(plan.band, shape.out_height() - top);
  given.taps = plan.row_taps + top;
  given.start = op.bias + panel * kPanel;
  const int64_t sums_distance = plan.y.row * kPanel;
  for (int r = 0; r < shape.stride; ++r) {
    const DepthwisePhase& phase = plan.phases[r];
    given.from = band.to + (phase.start + phase.offset) * kPanel - band.first * given.from_row;
    given.weight = weight + phase.first * kPanel;
    if (r == shape.stride - 1) {
      given.activation = op.activation;
      given.channels = static_cast<int>(smaller(kPanel, end - channel));
      convolve(phase.taps, given);
      break;
    }
    convolve(phase.taps, into_scratch(given, sums, sums_distance));
    given.start = sums;
    given.start_row = sums_distance;
    given.start_column = kPanel;
  }
}

void expand(const Expand& op, void* scratch, int64_t begin, int64_t end) {
  const DepthwisePlan& plan = op.plan;
  const int64_t first_panels = op.first_panels();
  float* x = static_cast<float*>(scratch);
  float* sums = x + plan.x.size();
  float* staged = sums + plan.y.size();
  float* line = staged + (Expand::kStaged + 2) * kPanel;
  float* cheap = line + op.line();
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / op.tasks_of_image();
    const int64_t panel = task % op.tasks_of_image();
    const RowRange* in = plan.band_rows;
    for (int64_t top = 0; top < plan.shape.out_height(); top += plan.band, ++in) {
      const Band band{in->first, in->last, x};
      if (panel < first_panels) {
        load_panel(op, plan, n, panel, band);
      } else {
        make_products(op, n, panel - first_panels, staged, band);
      }
      convolve_panel(op, n, panel, top, band, sums);
      if (op.expansion == Expansion::kGhost) {
        const int64_t above = in->first > 0 ? in->first - 1 : 0;
        load_panel(op, op.cheap, n, panel, {above, smaller(plan.shape.height, in->last + 1), cheap});
        make_cheap(op, panel, cheap, above, line, band);
        convolve_panel(op, n, first_panels + panel, top, band, sums);
      }
    }
  }
}

void transpose(const Transposed& op, int64_t begin, int64_t end) {
  const int64_t matrix = op.rows * op.columns;
  constexpr int64_t kBlock = 16;
  for (int64_t at = begin; at < end; ++at) {
    const int64_t column = at % op.columns;
    const float* from = op.from + at / op.columns * matrix + column;
    float* to = op.to + at / op.columns * matrix + column * op.rows;
    for (int64_t row = 0; row < op.rows; row += kBlock) {
      for (int64_t r = row; r < smaller(op.rows, row + kBlock); ++r) {
        to[r] = from[r * op.columns];
      }
    }
  }
}

}  // namespace

BottleneckKernels MMHADAPTIVE_INSTRUCTION_SET::bottleneck_forward_kernels() {
  return {multiply, select, expand, transpose};
}

}  // namespace mmhadaptive::cpu
