// What a Program is compared with: itself without its collectives, its collectives alone, and its
// collectives by another method.
#pragma once

#include "model/decoder_model.h"
#include "ops/collectives.h"

namespace braid::engine {

// Every all-reduce by `method`.
flow::Program with_method(flow::Program program, ops::ReduceMethod method);

// No all-reduce: who read its result reads what went into it. As fast as the Program would be if
// collectives took no time; its results are those of no model.
Result<flow::Program> without_collectives(const flow::Program& program);

// The all-reduces and nothing else, of rows of `source`, which must have as many columns.
Result<flow::Program> collectives_alone(const flow::Program& program,
                                        const flow::Residents& residents, int32_t source);

// How many all-reduces a Program has.
int64_t num_collectives(const flow::Program& program);

}  // namespace braid::engine
