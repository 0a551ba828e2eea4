#include "kernels/moe/cuda/experts_down.h"

#include <numeric>

#include "kernels/cuda/late_copy.h"
#include "kernels/cuda/test_support.h"
#include "kernels/gemm/cuda/grouped_gemm.h"
#include "kernels/moe/cpu/moe.h"
#include "kernels/moe/cuda/moe.h"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

struct Case {
  int64_t rows = 1;
  int64_t n = 0;
  int64_t k = 0;
  int64_t top_k = 8;
  int32_t experts = 16;
  int32_t first_slot = 0;  // of the slots that are here
  int32_t here = 16;
  int32_t num_shared = 0;
  bool shared = false;
  bool residual = true;
  int64_t padding = 8;  // columns behind out's: a multiple of 8 for rows at multiples of 16 bytes
};

// Rows on their way through a layer's down product, on the GPU.
class Problem {
 public:
  Problem(Random& random, const Case& from)
      : c(from),
        x_(Grid<bf16>(random, capacity(), c.k)),
        w_(Grid<bf16>(random, slots() * c.n, c.k)),
        shared_(Grid<bf16>(random, c.rows, c.n, c.padding)),
        residual_(Grid<bf16>(random, c.rows, c.n, c.padding)),
        weights_(Grid<float>(random, c.rows, c.top_k, 1)) {
    std::vector<int32_t> all(static_cast<size_t>(c.experts));
    Grid<int32_t> ids(c.rows, c.top_k);
    for (int64_t t = 0; t < c.rows; ++t) {
      std::iota(all.begin(), all.end(), 0);
      for (int64_t k = 0; k < c.top_k; ++k) {  // distinct ones, in any order
        const int64_t other = k + cpu::random_below(random, c.experts - k);
        std::swap(all[static_cast<size_t>(k)], all[static_cast<size_t>(other)]);
        ids.at(t, k) = all[static_cast<size_t>(k)];
      }
    }
    offsets.resize(static_cast<size_t>(slots()) + 1);
    std::vector<int32_t> source(static_cast<size_t>(capacity()));
    cpu::permute({.num_slots = slots(), .first_slot = c.first_slot, .num_shared = c.num_shared},
                 c.rows, c.top_k, ids.input(), {}, offsets.data(), source.data(), places.matrix());
  }

  int32_t slots() const { return c.here + c.num_shared; }
  int64_t capacity() const { return c.rows * (std::min<int64_t>(c.top_k, c.here) + c.num_shared); }
  ExpertsDownDesc desc() const {
    return {.num_slots = slots(),
            .num_shared = c.num_shared,
            .tuned_rows = static_cast<int32_t>(capacity()),
            .tokens = static_cast<int32_t>(c.rows)};
  }
  // With operands of the step where they are said to be.
  ExpertsDownArgs<bf16> args(const int32_t* offsets_at, Matrix<const int32_t> places_at,
                             Matrix<const bf16> x_at, Matrix<bf16> out) const {
    ExpertsDownArgs<bf16> made{.rows = c.rows,
                               .n = c.n,
                               .k = c.k,
                               .top_k = c.top_k,
                               .grouped_rows = capacity(),
                               .x = x_at,
                               .offsets = offsets_at,
                               .w = w_.input(),
                               .places = places_at,
                               .weights = weights_.input(),
                               .addends = {},
                               .out = out};
    if (c.shared) made.addends.shared = shared_.input();
    if (c.residual) made.addends.residual = residual_.input();
    return made;
  }

  Grid<bf16> fused() const {
    const DeviceArray<int32_t> offsets_gpu(offsets);
    const DeviceGrid<int32_t> places_gpu(places);
    const DeviceArray<bf16> scratch(capacity() * c.n);
    const DeviceGrid<bf16> out(c.rows, c.n, c.padding);
    experts_down(desc(), args(offsets_gpu.data(), places_gpu.input(), x_.input(), out.matrix()),
                 reinterpret_cast<std::byte*>(scratch.data()), nullptr);
    return out.fetch();
  }
  // By the kernels of the ops that it stands for.
  Grid<bf16> apart() const {
    const DeviceArray<int32_t> offsets_gpu(offsets);
    const DeviceGrid<int32_t> places_gpu(places);
    const DeviceGrid<bf16> grouped(capacity(), c.n), out(c.rows, c.n, c.padding);
    const ExpertsDownDesc d = desc();
    grouped_gemm({.num_slots = slots(), .tuned_rows = d.tuned_rows, .tokens = d.tokens},
                 {.n = c.n, .k = c.k}, capacity(),
                 {.x = x_.input().data,
                  .x_stride = x_.input().stride,
                  .offsets = offsets_gpu.data(),
                  .w = w_.input().data,
                  .w_stride = w_.input().stride,
                  .y = grouped.matrix().data,
                  .y_stride = grouped.matrix().stride},
                 nullptr);
    combine<bf16>({.num_shared = c.num_shared}, c.rows, c.n, c.top_k, grouped.input(),
                  places_gpu.input(), weights_.input(), out.matrix(), nullptr);
    const Rows all{.capacity = c.rows};
    if (c.shared) add<bf16>(all, c.n, out.input(), shared_.input(), out.matrix(), nullptr);
    if (c.residual) add<bf16>(all, c.n, out.input(), residual_.input(), out.matrix(), nullptr);
    return out.fetch();
  }

  const Case c;
  std::vector<int32_t> offsets;
  Grid<int32_t> places{c.rows, c.top_k + c.num_shared};

  const DeviceGrid<bf16>& x() const { return x_; }

 private:
  DeviceGrid<bf16> x_, w_, shared_, residual_;
  DeviceGrid<float> weights_;
};

void check(Random& random, const Case& c) {
  SCOPED_TRACE(testing::Message() << c.rows << " rows, n " << c.n << " k " << c.k << ", top "
                                  << c.top_k << " of " << c.experts << ", " << c.here << " here + "
                                  << c.num_shared);
  const Problem problem(random, c);
  Grid<bf16> got = problem.fused();
  const Grid<bf16> want = problem.apart();
  expect_same(got, want, c.rows);
}

TEST(CudaExpertsDownTest, HasTheBitsOfTheOpsThatItStandsFor) {
  BRAID_NEEDS_GPU();
  Random random(41);
  for (const int64_t rows : {1, 2, 3, 4, 5, 16, 33}) {
    for (const int64_t k : {64, 384, 768, 832, 1408, 2048, 2880, 4096, 4160}) {
      check(random, {.rows = rows, .n = 160, .k = k, .shared = rows % 2 == 0});
    }
  }
}

TEST(CudaExpertsDownTest, SharedSlotsRowsOfOtherRanksAndFewPlaces) {
  BRAID_NEEDS_GPU();
  Random random(42);
  for (const int64_t rows : {1, 2, 4, 7}) {
    for (const int64_t k : {384, 1408, 2048}) {
      check(random, {.rows = rows, .n = 96, .k = k, .num_shared = 1});
      check(random, {.rows = rows, .n = 96, .k = k, .num_shared = 2, .residual = false});
      // Of 64 experts 8 are here: many rows have no place.
      check(random, {.rows = rows,
                     .n = 96,
                     .k = k,
                     .top_k = 4,
                     .experts = 64,
                     .first_slot = 24,
                     .here = 8,
                     .shared = true});
      check(random, {.rows = rows,
                     .n = 96,
                     .k = k,
                     .top_k = 2,
                     .experts = 200,
                     .first_slot = 199,
                     .here = 1});
      check(random, {.rows = rows, .n = 4096, .k = k, .top_k = 1, .experts = 3, .here = 3});
    }
  }
}

// Rows that don't begin at multiples of 16 bytes, and widths that nothing streams.
TEST(CudaExpertsDownTest, TakesAnyShape) {
  BRAID_NEEDS_GPU();
  Random random(43);
  for (const int64_t rows : {1, 4, 20}) {
    check(random, {.rows = rows, .n = 96, .k = 768, .padding = 3});
    check(random, {.rows = rows, .n = 72, .k = 40});
    check(random, {.rows = rows, .n = 90, .k = 768});
  }
}

// Each row has the same bits whatever the number of rows.
TEST(CudaExpertsDownTest, ARowAloneIsBitwiseTheRowInABatch) {
  BRAID_NEEDS_GPU();
  Random random(44);
  for (const int64_t k : {768, 1408, 2048}) {
    const Problem all(random, {.rows = 12, .n = 96, .k = k});
    const Grid<bf16> whole = all.fused();
    const DeviceArray<int32_t> offsets(all.offsets);
    const DeviceGrid<int32_t> places(all.places);
    for (int64_t first = 0; first < 12; ++first) {
      for (const int64_t count : {1, 3}) {
        if (first + count > 12) continue;
        ExpertsDownDesc desc = all.desc();
        desc.tokens = static_cast<int32_t>(count);
        desc.tuned_rows = static_cast<int32_t>(count * all.c.top_k);
        const DeviceArray<bf16> scratch(all.capacity() * 96);
        const DeviceGrid<bf16> out(count, 96);
        ExpertsDownArgs<bf16> args =
            all.args(offsets.data(), places.input(first), all.x().input(), out.matrix());
        args.rows = count;
        args.weights.data = args.weights.row(first);
        args.addends.residual.data = args.addends.residual.row(first);
        experts_down(desc, args, reinterpret_cast<std::byte*>(scratch.data()), nullptr);
        const Grid<bf16> part = out.fetch();
        for (int64_t r = 0; r < count; ++r) EXPECT_TRUE(part.same_row(r, whole, first + r));
      }
    }
  }
}

// x is the late kernel's in front; offsets and places are, too, or were there before.
TEST(CudaExpertsDownTest, AwaitsTheKernelInFront) {
  BRAID_NEEDS_GPU();
  Random random(45);
  for (const int64_t rows : {1, 3, 6}) {
    const Problem problem(random, {.rows = rows, .n = 256, .k = 768});
    const Grid<bf16> want = problem.fused();
    constexpr size_t kOffsets = 128, kPlaces = 256;
    const auto x_bytes = static_cast<size_t>(problem.capacity() * 768) * sizeof(bf16);
    std::vector<std::byte> words(kOffsets + kPlaces + x_bytes);
    std::memcpy(words.data(), problem.offsets.data(), problem.offsets.size() * sizeof(int32_t));
    std::memcpy(words.data() + kOffsets, problem.places.input().data,
                static_cast<size_t>(rows * 8) * sizeof(int32_t));
    const DeviceArray<std::byte> from(words);
    expect_cuda(cudaMemcpy(from.data() + kOffsets + kPlaces, problem.x().input().data, x_bytes,
                           cudaMemcpyDeviceToDevice));
    for (const bool early : {false, true}) {
      const DeviceArray<std::byte> late(static_cast<int64_t>(words.size()));
      const DeviceArray<bf16> scratch(problem.capacity() * 256);
      const DeviceGrid<bf16> out(rows, 256, 8);
      cudaStream_t stream = nullptr;
      expect_cuda(cudaStreamCreate(&stream));
      copy_late(from.data(), late.data(), words.size(), stream);
      const std::byte* const there = early ? from.data() : late.data();
      const ExpertsDownArgs<bf16> args = problem.args(
          reinterpret_cast<const int32_t*>(there),
          {reinterpret_cast<const int32_t*>(there + kOffsets), 8},
          {reinterpret_cast<const bf16*>(late.data() + kOffsets + kPlaces), 768}, out.matrix());
      experts_down(problem.desc(), args, reinterpret_cast<std::byte*>(scratch.data()),
                   KernelStream(stream, true, early));
      Grid<bf16> got = out.fetch();
      expect_same(got, want, rows);
      expect_cuda(cudaStreamDestroy(stream));
    }
  }
}

}  // namespace
}  // namespace braid::kernels::cuda
