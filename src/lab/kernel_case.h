// A kernel alone, as `bench kernel` runs it: how the ops of a kind are written at given sizes, with
// made-up operands. kernel_cases.cc has the cases; a new one is an entry there.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flow/launcher.h"
#include "kernels/fill/fill_desc.h"
#include "ops/builder.h"
#include "passes/pass.h"

namespace braid::lab {

// A parameter of a case: a size, or one of several names.
struct KernelParameter {
  std::string_view name;
  std::string_view standard;
  std::vector<std::string_view> choices;  // empty: a positive number
};

// Values of a case's parameters.
class KernelSetting {
 public:
  // `usage` where a parameter is unknown or its value no number or none of the words. `texts`: each
  // "rows=8,n=5120".
  static Result<KernelSetting> parse(std::span<const KernelParameter> parameters,
                                     std::span<const std::string> texts);

  int64_t size(std::string_view name) const;
  const std::string& choice(std::string_view name) const;
  // "rows=8 n=5120 k=2048 epilogue=none"
  std::string to_string() const;

 private:
  std::vector<std::pair<std::string, std::string>> values_;  // in the parameters' order
};

// The operands of all layers of a chain, and what they hold: the same numbers on every device.
class KernelOperands {
 public:
  // A function of an element's index.
  using Fill = std::function<double(int64_t)>;
  struct Content {
    kernels::UniformDesc uniform;  // where there is no
    Fill fill;
  };

  // The resident of this name; declared if it is new.
  int32_t find(flow::Resident resident, Content content);

  flow::Residents& residents() { return residents_; }
  const flow::Residents& residents() const { return residents_; }
  // Fills everything that was declared; it has been allocated.
  Status fill(device::Device& device, const flow::LauncherTable& kernels) const;

 private:
  flow::Residents residents_;
  std::vector<Content> contents_;
  std::map<std::string, int32_t> by_name_;
};

// What a case writes one layer of the chain with.
class KernelLayer {
 public:
  // What the layers of a chain have in common, by name.
  using Common = std::map<std::string, ops::Value, std::less<>>;

  // `dtype`: what the kernels compute on; float32 in the reference. `results`: keep what they give.
  KernelLayer(ops::Builder& builder, KernelOperands& operands, const KernelSetting& setting,
              Common& common, int32_t layer, Format dtype, bool results);

  ops::Builder& b;
  const KernelSetting& setting;
  const Format dtype;

  int64_t size(std::string_view name) const { return setting.size(name); }
  bool is(std::string_view name, std::string_view word) const {
    return setting.choice(name) == word;
  }

  // Of this layer alone, so that it is cold when its turn comes: a weight, uniform with a standard
  // deviation of 1 / √cols; a cache, with one of 1.
  ops::Value weight(std::string_view name, int64_t rows, int64_t cols);
  ops::Value cache(std::string_view name, int64_t rows, int64_t cols);
  // Of all layers: uniform with a standard deviation of 1, rounded to bfloat16; or any numbers.
  ops::Value random(std::string_view name, Format format, int64_t rows, int64_t cols);
  ops::Value filled(std::string_view name, Format format, int64_t rows, int64_t cols,
                    KernelOperands::Fill fill);
  // What make() gives for the first layer: made once a step.
  template <typename Make>
  ops::Value once(std::string_view name, Make make) {
    const auto found = common_.find(name);
    return found != common_.end() ? found->second : common_.emplace(name, make()).first->second;
  }
  // A result, which is compared with the reference's.
  void result(std::string_view name, ops::Value value);
  // Where an op leaves a result that outlives its step.
  ops::Value kept(std::string_view name, Format format, int64_t rows, int64_t cols);

 private:
  ops::Value own(std::string_view name, flow::Lifetime lifetime, int64_t rows, int64_t cols,
                 double deviation);

  KernelOperands& operands_;
  Common& common_;
  int32_t layer_;
  bool results_;
};

// One way to do it: the kernel, or what it replaces.
struct KernelForm {
  std::string_view name;
  // Appends the ops of a layer; what they have to do at least, of the memory and of arithmetic.
  flow::Work (*build)(KernelLayer& layer);
  // Whether it is another way at these sizes; null: always.
  bool (*applies)(const KernelSetting& setting) = nullptr;
  // The passes that make it of these ops; null: none.
  Result<flow::Program> (*rewrite)(flow::Program program,
                                   const passes::PassContext& context) = nullptr;
};

struct KernelCase {
  std::string_view name;
  std::string_view help;
  std::vector<KernelParameter> sizes;          // --shape
  std::vector<KernelParameter> configuration;  // --kernel-config
  std::vector<KernelForm> forms;               // the first one is what the case is named for

  std::vector<KernelParameter> parameters() const;
};

std::span<const KernelCase> kernel_cases();
// `usage` with the names that there are.
Result<const KernelCase*> find_kernel_case(std::string_view name);

// Names that KernelLayer::result() gave its results begin with this.
inline constexpr std::string_view kResultPrefix = "result ";

}  // namespace braid::lab
