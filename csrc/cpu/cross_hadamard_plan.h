// How the host cuts the work, and what it makes ready for the kernels.
#pragma once

#include "cross_hadamard.h"
#include "cross_hadamard_kernels.h"

namespace mmhadaptive::cpu {

// Images in tiles, of which there are at least `tasks` if they do not become too small.
TiledShape tiled(const Shape& shape, int64_t tasks);

// Throws a std::runtime_error.
void check_index(const Call& call);

// With stand-ins where there is no normalisation.
Parameters kernel_parameters(const Call& call);

}  // namespace mmhadaptive::cpu
