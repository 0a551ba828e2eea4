// What a Program is compared with: itself without its collectives, its collectives alone, and its
// collectives by another method.
#pragma once

#include "model/decoder_model.h"
#include "ops/collectives.h"

namespace braid::lab {

// Every all-reduce by `method`.
flow::Program with_method(flow::Program program, ops::ReduceMethod method);

// No all-reduce: who read its result reads what went into it. As fast as the Program would be if
// collectives took no time; its results are those of no model.
Result<flow::Program> without_collectives(const flow::Program& program);

// The all-reduces and nothing else, of rows of `source`, which must have as many columns.
Result<flow::Program> collectives_alone(const flow::Program& program,
                                        const flow::Residents& residents, int32_t source);

// How many all-reduces a Program has; those in two halves count once.
int64_t num_collectives(const flow::Program& program);

// The share of its sums' time that a Program in chunks can hide at most, its all-reduces being
// `uncut` in one piece, all alike: the last chunk of each has nothing beside it; or, where it
// continues behind them, the last chunk of the last one.
double hidden_at_most(const flow::Program& chunked, int64_t uncut, bool continued);

}  // namespace braid::lab
