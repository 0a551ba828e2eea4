// What a request for answers asks for, read from OpenAI's JSON: /v1/completions and
// /v1/chat/completions.
#pragma once

#include "engine/request.h"
#include "server/fields.h"
#include "server/served_model.h"

namespace braid::server {

struct GenerationRequest {
  bool chat = false;
  std::string model;                          // as it was called
  std::vector<std::vector<int32_t>> prompts;  // token ids, each at least one
  std::vector<std::string> echo;              // [prompts]: what the answers begin with; or empty
  int32_t n = 1;                              // answers to each prompt
  int32_t max_tokens = 0;                     // of each answer
  engine::SamplingParams sampling;
  int32_t logprobs = engine::kNoLogprobs;  // of each token, and of so many beside it
  bool seeded = false;                     // the request says the seed
  std::vector<int32_t> stop_ids;
  std::vector<std::string> stops;
  bool includes_stop = false;
  bool skips_special = true;
  bool stream = false;
  bool stream_usage = false;      // a last chunk with the usage
  bool continuous_usage = false;  // and every other chunk
  bool returns_ids = false;
  std::vector<std::string> ignored;  // fields that nobody knows

  size_t choices() const { return prompts.size() * static_cast<size_t>(n); }
};

// Errors are those of usage, with their param; `not_found` for another model's name.
Result<GenerationRequest> read_completion(const Json& body, const ServedModel& model);
Result<GenerationRequest> read_chat(const Json& body, const ServedModel& model);

// The text of a conversation ("messages") as the model's template has it. Reads all fields that say
// how it is rendered.
Result<std::string> render_messages(Fields& fields, const ServedModel& model);

// Adds to `ignored` what nobody has asked for, or refuses it where the model is strict.
Status check_unknown(const Fields& fields, const ServedModel& model,
                     std::vector<std::string>& ignored);

}  // namespace braid::server
