// All weights of whole models, as they are loaded, against what the source says of each tensor.
#include "model/weight_loader.h"

#include <atomic>
#include <filesystem>

#include "base/float16.h"
#include "device/cpu/cpu_device.h"
#include "experts/placement.h"
#include "model/checkpoint_source.h"
#include "model/config.h"
#include "model/dummy_source.h"
#include "model/model_weights.h"
#include "model/rounded_source.h"
#include "model/testing.h"
#include "ops/register_cpu.h"

namespace braid::model {
namespace {

using testing::text_of;

// Gives what another source gives, and makes nothing itself: all goes through the host.
class ReadingSource final : public TensorSource {
 public:
  explicit ReadingSource(const TensorSource& source) : TensorSource({}), source_(source) {}
  bool has(std::string_view name) const override { return source_.has(name); }
  int64_t bytes(std::string_view name) const override { return source_.bytes(name); }
  int64_t bytes() const override { return source_.bytes(); }

 private:
  Status read_checked(std::string_view name, std::span<const int64_t> shape, const Block& block,
                      std::span<float> out) const override {
    return source_.read_block(name, shape, block, out);
  }
  const TensorSource& source_;
};

// A device that the host does not reach: pieces go through two buffers, which are copied a piece
// later. It counts what goes which way.
class StagingDevice final : public device::Device {
 public:
  std::string_view name() const override { return "staging"; }
  Result<device::Memory> allocate(int64_t bytes) override { return memory_.allocate(bytes); }
  void upload(std::byte* to, const void* from, int64_t bytes) override {
    memory_.upload(to, from, bytes);
  }
  void download(void* to, const std::byte* from, int64_t bytes) override {
    memory_.download(to, from, bytes);
  }
  void fill(std::byte* to, uint8_t value, int64_t bytes) override {
    memory_.fill(to, value, bytes);
  }
  Result<std::unique_ptr<device::Uploads>> open_uploads(int64_t piece_bytes) override {
    return std::unique_ptr<device::Uploads>(std::make_unique<Staged>(*this, piece_bytes));
  }
  std::atomic<int64_t> sent = 0;

 protected:
  void release(std::byte*, int64_t) override {}

 private:
  class Staged final : public device::Uploads {
   public:
    Staged(StagingDevice& device, int64_t piece_bytes) : device_(device) {
      for (Piece& piece : pieces_) piece.bytes.resize(static_cast<size_t>(piece_bytes));
    }
    Result<std::byte*> stage(std::byte* to, int64_t bytes) override {
      Piece& piece = pieces_[current_];
      copy(piece);
      std::fill(piece.bytes.begin(), piece.bytes.end(), std::byte{0x60});
      piece.to = to;
      piece.size = static_cast<size_t>(bytes);
      return piece.bytes.data();
    }
    Status send() override {
      device_.sent += static_cast<int64_t>(pieces_[current_].size);
      current_ = 1 - current_;
      return {};
    }
    device::Queue* queue() override { return nullptr; }
    Status finish() override {
      for (Piece& piece : pieces_) copy(piece);
      return {};
    }

   private:
    struct Piece {
      std::vector<std::byte> bytes;
      std::byte* to = nullptr;
      size_t size = 0;
    };
    static void copy(Piece& piece) {
      if (piece.size > 0) std::memcpy(piece.to, piece.bytes.data(), piece.size);
      piece.size = 0;
    }
    StagingDevice& device_;
    std::array<Piece, 2> pieces_;
    size_t current_ = 0;
  };
  device::CpuDevice memory_;
};

struct Case {
  layout::LayoutOptions layout;
  bool placed = false;  // experts by a table, with replicas
};

// A rank's weights.
class Loaded {
 public:
  Loaded(const ModelConfig& config, Format format, const Case& test, int32_t rank = 0) {
    const auto layout = layout::make_layout(layout_sizes(config), test.layout).value();
    const layout::Shards shards(layout_sizes(config), layout, rank);
    std::optional<experts::ExpertPlacement> placement;
    if (test.placed) {
      const int32_t groups = layout.moe.sizes[0];
      placement =
          experts::ExpertPlacement::standard(placement_sizes(config, groups, groups).value());
    }
    plan_weights(config, format, shards, true, placement ? &*placement : nullptr, residents_,
                 plan_);
    ops::register_cpu(kernels_);
  }

  // Memory that holds no zeros by chance.
  Status load(device::Device& device, const TensorSource& source, int32_t threads) {
    memory_ = flow::allocate(residents_, device, device).value();
    for (const device::Memory& memory : memory_) device.fill(memory.data(), 0xa5, memory.bytes());
    told_ = 0;
    return plan_.load(
        source, residents_,
        {.device = device, .kernels = kernels_, .threads = threads, .progress = [this](int64_t n) {
           told_ += n;
         }});
  }

  std::vector<std::vector<std::byte>> bytes() const {
    std::vector<std::vector<std::byte>> all;
    for (const device::Memory& memory : memory_) {
      all.emplace_back(memory.data(), memory.data() + memory.bytes());
    }
    return all;
  }
  int64_t told() const { return told_; }
  int64_t total() const { return residents_.bytes(flow::Lifetime::weight); }

 private:
  flow::Residents residents_;
  WeightPlan plan_;
  flow::LauncherTable kernels_;
  std::vector<device::Memory> memory_;
  std::atomic<int64_t> told_ = 0;
};

const Case kCases[] = {{{.tp = 1}},
                       {{.tp = 2}},
                       {{.tp = 4, .ep = 2}},
                       {{.tp = 2, .ep = 2, .dp = 2}},
                       {{.tp = 2, .ep = 2}, true},
                       {{.tp = 1, .dp = 4}, true}};

// What is made in place is what the host reads element by element, and the same in any layout: the
// bytes of every rank are those that a float32 read of each tensor's window gives.
TEST(WeightLoaderTest, MadeUpWeightsAreTheSourcesInEveryLayout) {
  const ModelConfig config = *load_config(testing::golden_folder("glm4_moe"));
  const DummySource source(7);
  const ReadingSource reading(source);
  for (const Format format : {Format::f32, Format::bf16}) {
    for (const Case& test : kCases) {
      const int32_t world = test.layout.tp * test.layout.dp;
      for (int32_t rank = 0; rank < world; ++rank) {
        SCOPED_TRACE(::testing::Message() << "tp " << test.layout.tp << " ep " << test.layout.ep
                                          << " dp " << test.layout.dp << " rank " << rank);
        Loaded made(config, format, test, rank), read(config, format, test, rank);
        device::CpuDevice device;
        StagingDevice staging;
        ASSERT_EQ(text_of(made.load(device, source, 2)), "ok");
        ASSERT_EQ(text_of(read.load(staging, reading, 3)), "ok");
        ASSERT_EQ(made.bytes(), read.bytes());
        EXPECT_EQ(made.told(), made.total());
        EXPECT_EQ(read.told(), read.total());
        EXPECT_GT(staging.sent, read.total() * 9 / 10);
      }
    }
  }
}

// Only norms, which are no formula's, go through the host.
TEST(WeightLoaderTest, MadeUpWeightsAreMadeOnTheDevice) {
  const ModelConfig config = *load_config(testing::golden_folder("qwen3_moe"));
  StagingDevice device;
  Loaded loaded(config, Format::bf16, {});
  ASSERT_EQ(text_of(loaded.load(device, DummySource(), 1)), "ok");
  EXPECT_GT(device.sent, 0);
  EXPECT_LT(device.sent, loaded.total() / 50);
}

TEST(WeightLoaderTest, RoundedWeightsAreThoseOfBfloat16) {
  const ModelConfig config = *load_config(testing::golden_folder("qwen3_moe"));
  const DummySource source(3);
  Loaded narrow(config, Format::bf16, {}), wide(config, Format::f32, {});
  device::CpuDevice device;
  ASSERT_TRUE(narrow.load(device, source, 1).ok());
  ASSERT_TRUE(wide.load(device, RoundedSource(source), 1).ok());
  const auto few = narrow.bytes(), many = wide.bytes();
  for (size_t i = 0; i < few.size(); ++i) {
    if (few[i].size() == many[i].size()) continue;  // is f32 in both
    for (size_t at = 0; at < few[i].size() / 2; ++at) {
      bf16 small;
      float large;
      std::memcpy(&small, few[i].data() + 2 * at, 2);
      std::memcpy(&large, many[i].data() + 4 * at, 4);
      ASSERT_EQ(to_float(small), large) << "weight " << i << ", number " << at;
    }
  }
}

// Checkpoints of every way of storing, by one thread and by several, straight and staged.
TEST(WeightLoaderTest, ThreadsAndStagingChangeNothing) {
  for (const char* name : {"qwen3_moe", "glm4_moe", "glm4_moe_fp8_block", "qwen3_moe_fp8_channel",
                           "glm4_moe_nvfp4", "deepseek_v3_fp8_block"}) {
    const std::string folder = testing::golden_folder(name);
    const ModelConfig config = *load_config(folder);
    const CheckpointSource source(*Checkpoint::open(folder), config.quantization);
    const CheckpointSource checked(*Checkpoint::open(folder), config.quantization,
                                   {.check_weights = true});
    for (const Format format : {Format::f32, Format::bf16}) {
      for (const int32_t tp : {1, 2}) {
        SCOPED_TRACE(::testing::Message() << name << " tp " << tp);
        const Case test{{.tp = tp}};
        Loaded one(config, format, test, tp - 1), many(config, format, test, tp - 1),
            staged(config, format, test, tp - 1);
        device::CpuDevice device;
        StagingDevice staging;
        ASSERT_EQ(text_of(one.load(device, ReadingSource(source), 1)), "ok");
        ASSERT_EQ(text_of(many.load(device, checked, 7)), "ok");
        ASSERT_EQ(text_of(staged.load(staging, source, 3)), "ok");
        EXPECT_EQ(one.bytes(), many.bytes());
        EXPECT_EQ(one.bytes(), staged.bytes());
        EXPECT_EQ(one.told(), one.total());
        EXPECT_EQ(staged.told(), staged.total());
      }
    }
  }
}

// Whichever thread meets a later error first, it is the first bad tensor's that comes out.
TEST(WeightLoaderTest, TheFirstErrorComesOutWhateverTheThreads) {
  class Broken final : public TensorSource {
   public:
    Broken() : TensorSource({}) {}
    bool has(std::string_view) const override { return true; }
    int64_t bytes(std::string_view) const override { return 0; }
    int64_t bytes() const override { return 0; }

   private:
    Status read_checked(std::string_view name, std::span<const int64_t>, const Block&,
                        std::span<float> out) const override {
      if (name.find("layers.1.self_attn.o_proj") == name.npos && name != "lm_head.weight") {
        std::fill(out.begin(), out.end(), 0.0f);
        return {};
      }
      return Error(ErrorKind::corrupt_data, "broken").with("tensor", name);
    }
  };
  const ModelConfig config = *load_config(testing::golden_folder("qwen3_moe"));
  device::CpuDevice device;
  for (const int32_t threads : {1, 2, 8}) {
    Loaded loaded(config, Format::f32, {});
    EXPECT_EQ(text_of(loaded.load(device, Broken(), threads)),
              "broken (tensor = model.layers.1.self_attn.o_proj.weight)");
    EXPECT_LT(loaded.told(), loaded.total());
  }
}

TEST(WeightLoaderTest, ACheckpointThatIsCutWhileItIsOpenIsAnError) {
  const TempFolder folder;
  std::filesystem::copy(testing::golden_folder("glm4_moe"), folder.path(),
                        std::filesystem::copy_options::recursive);
  const ModelConfig config = *load_config(folder.path());
  const CheckpointSource source(*Checkpoint::open(folder.path()), config.quantization);
  const std::string path = folder.file("model.safetensors");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  device::CpuDevice device;
  Loaded loaded(config, Format::bf16, {});
  const std::string error = text_of(loaded.load(device, source, 4));
  EXPECT_TRUE(error.starts_with("the file has become shorter since it was opened (path = " + path))
      << error;
  EXPECT_NE(error.find("tensor = model."), std::string::npos) << error;
}

TEST(WeightLoaderTest, ThreadsAreSharedByTheRanksOfAHost) {
  EXPECT_GE(loader_threads(1), 1);
  EXPECT_LE(loader_threads(1), 8);
  EXPECT_EQ(loader_threads(100000), 1);
  EXPECT_GE(loader_threads(1), loader_threads(2));
}

}  // namespace
}  // namespace braid::model
