// Fills weight buffers: several threads take pieces of them in turn.
#pragma once

#include <span>

#include "model/weight_plan.h"

namespace braid::model {

// How many threads a rank loads with where `ranks` of this host load at the same time.
int32_t loader_threads(int32_t ranks);

// Fills the buffers of `weights`. Where all of a piece is made up, the device's own kernel makes
// it; else the host reads it, right into the device's memory or into memory that is copied there
// while the next piece is read. Errors are the source's: the one of the first piece that has one.
Status load_weights(const TensorSource& source, std::span<const PlannedWeight> weights,
                    const flow::Residents& residents, const Loading& how);

}  // namespace braid::model
