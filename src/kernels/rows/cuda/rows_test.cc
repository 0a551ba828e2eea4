#include "kernels/rows/cuda/rows.h"

#include "kernels/cuda/test_support.h"
#include "kernels/rows/cpu/rows.h"

namespace braid::kernels::cuda {
namespace {

template <typename T>
class CudaRowsTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaRowsTest, AllTypes);

// Of a result: whole packs, an odd width, an odd stride, a view that starts at an odd column.
struct Shape {
  int64_t rows;
  int64_t cols;
  int64_t padding;
  int64_t first_col = 0;
};
constexpr Shape kShapes[] = {{1, 2048, 0}, {127, 7168, 16},   {5, 8, 0},
                             {5, 1, 0},    {127, 33, 7},      {3, 9000, 0},
                             {3, 64, 3},   {4, 2048, 0, 256}, {4, 2048, 11, 5}};

TYPED_TEST(CudaRowsTest, GatheredRowsAreCopies) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const auto& [rows, cols, padding, first_col] : kShapes) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const Grid<TypeParam> table(random, 50, first_col + cols, padding);
    std::vector<int32_t> index(static_cast<size_t>(rows));
    for (int32_t& i : index) i = static_cast<int32_t>(cpu::random_below(random, 51)) - 1;
    index[0] = 42;
    Grid<TypeParam> want(rows, cols);
    const GatherRowsDesc desc{.first = 3, .count = 40};  // ids 3 … 42, and zeros for the others
    cpu::gather_rows<TypeParam>(desc, rows, cols, on_cpu(table, 0, first_col), index.data(),
                                want.matrix());
    const DeviceGrid<TypeParam> device_table(table), out(rows, cols, padding);
    const DeviceArray<int32_t> device_index(index);
    gather_rows<TypeParam>(desc, {rows}, cols, device_table.input(0, first_col),
                           device_index.data(), out.matrix(), nullptr);
    Grid<TypeParam> got = out.fetch();
    expect_same(got, want, rows);
  }
}

TYPED_TEST(CudaRowsTest, JoinedColumnsAreCopies) {
  BRAID_NEEDS_GPU();
  Random random(5);
  const DeviceArray<int32_t> count(std::vector<int32_t>{4});
  for (const auto& [parts, cols] : {std::pair<int32_t, int64_t>{2, 4096}, {3, 10007}, {8, 5}}) {
    const int64_t each = ceil_div(cols, parts);
    const Grid<TypeParam> in(random, parts * 5, each + 3, 1);
    Grid<TypeParam> want(5, cols);
    cpu::join_columns<TypeParam>({parts}, 5, cols, 5, on_cpu(in), want.matrix());
    const DeviceGrid<TypeParam> device_in(in);
    for (const int64_t live : {5, 4}) {
      const DeviceGrid<TypeParam> out(5, cols, 7);
      join_columns<TypeParam>({parts}, {5, 0, live == 5 ? nullptr : count.data()}, cols, 5,
                              device_in.input(), out.matrix(), nullptr);
      Grid<TypeParam> got = out.fetch();
      expect_same(got, want, live);
    }
  }
}

TYPED_TEST(CudaRowsTest, SumsHaveTheCpusBits) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const auto& [rows, cols, padding, first_col] : kShapes) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const Grid<TypeParam> a(random, rows, first_col + cols, padding), b(random, rows, cols, 8);
    Grid<TypeParam> want(rows, cols);
    cpu::add<TypeParam>(rows, cols, on_cpu(a, 0, first_col), b.input(), want.matrix());
    const DeviceGrid<TypeParam> device_a(a), device_b(b), out(rows, cols, padding);
    add<TypeParam>({rows}, cols, device_a.input(0, first_col), device_b.input(), out.matrix(),
                   nullptr);
    Grid<TypeParam> got = out.fetch();
    expect_same(got, want, rows);
    add<TypeParam>({rows}, cols, device_a.input(0, first_col), device_b.input(),
                   device_a.matrix(0, first_col), nullptr);
    const Grid<TypeParam> in_place = device_a.fetch();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        ASSERT_EQ(in_place.value(r, first_col + c), want.value(r, c));
      }
    }
  }
}

TYPED_TEST(CudaRowsTest, TheCountLimitsTheRows) {
  BRAID_NEEDS_GPU();
  Random random(3);
  const Grid<TypeParam> a(random, 6, 40), b(random, 6, 40);
  const std::vector<int32_t> index{5, 4, 3, 2, 1, 0};
  Grid<TypeParam> sums(6, 40), rows(6, 40);
  cpu::add<TypeParam>(6, 40, a.input(), b.input(), sums.matrix());
  cpu::gather_rows<TypeParam>({}, 6, 40, a.input(), index.data(), rows.matrix());
  const DeviceGrid<TypeParam> device_a(a), device_b(b);
  const DeviceArray<int32_t> device_index(index), count(std::vector<int32_t>{5});
  for (const auto& [first, live] : {std::pair<int64_t, int64_t>{0, 5}, {2, 3}, {5, 0}, {9, 0}}) {
    const DeviceGrid<TypeParam> summed(6, 40), gathered(6, 40);
    const Rows limited{6, first, count.data()};
    add<TypeParam>(limited, 40, device_a.input(), device_b.input(), summed.matrix(), nullptr);
    gather_rows<TypeParam>({}, limited, 40, device_a.input(), device_index.data(),
                           gathered.matrix(), nullptr);
    Grid<TypeParam> got_sums = summed.fetch(), got_rows = gathered.fetch();
    expect_same(got_sums, sums, live);
    expect_same(got_rows, rows, live);
  }
}

TYPED_TEST(CudaRowsTest, CopiesKeepTheirNeighbours) {
  BRAID_NEEDS_GPU();
  Random random(4);
  for (const auto& [rows, cols, padding, first_col] : kShapes) {
    const Grid<TypeParam> from(random, rows, first_col + cols, padding);
    const DeviceGrid<TypeParam> device_from(from), to(rows, cols, padding);
    const auto bytes = [](Matrix<TypeParam> m) { return reinterpret_cast<std::byte*>(m.data); };
    const auto size = static_cast<int64_t>(sizeof(TypeParam));
    copy_rows(rows, cols * size, bytes(device_from.matrix(0, first_col)),
              device_from.input().stride * size, bytes(to.matrix()), to.input().stride * size,
              nullptr);
    Grid<TypeParam> want(rows, cols);
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(on_cpu(from, r, first_col).data, cols, want.matrix().row(r));
    }
    Grid<TypeParam> got = to.fetch();
    expect_same(got, want, rows);
  }
}

TEST(CudaInputIdsTest, AreTheCpus) {
  BRAID_NEEDS_GPU();
  constexpr int64_t kRows = 300, kLive = 290;
  std::vector<int32_t> given, source, slots, sampled = {40, 41, 42};
  for (int32_t row = 0; row < kRows; ++row) {
    given.push_back(1000 + row);
    source.push_back(row % 4 - 1);
    slots.push_back(row % 5 == 0 ? -1 : 2 * (kRows - row));
  }
  std::vector<int32_t> want(kRows, -1), kept(2 * kRows, -1);
  cpu::input_ids(kLive, {.given = given.data(),
                         .source = source.data(),
                         .sampled = sampled.data(),
                         .kv_slots = slots.data(),
                         .out = want.data(),
                         .history = kept.data()});
  const DeviceArray<int32_t> ids(given), from(source), last(sampled), to(slots), out(kRows);
  const DeviceArray<int32_t> history(2 * kRows);
  const DeviceArray<int32_t> count(std::vector<int32_t>{kLive});
  input_ids({kRows, 0, count.data()},
            {.given = ids.data(),
             .source = from.data(),
             .sampled = last.data(),
             .kv_slots = to.data(),
             .out = out.data(),
             .history = history.data()},
            nullptr);
  EXPECT_EQ(out.fetch(), want);
  EXPECT_EQ(history.fetch(), kept);
}

TEST(CudaCopyTest, ReachesPinnedHostMemory) {
  BRAID_NEEDS_GPU();
  void* host = nullptr;
  expect_cuda(cudaMallocHost(&host, 3 * 8));
  const DeviceArray<int32_t> device(std::vector<int32_t>{1, 2, 3, 4, 5, 6});
  copy_rows(3, 4, reinterpret_cast<const std::byte*>(device.data()), 8,
            static_cast<std::byte*>(host), 8, nullptr);
  expect_cuda(cudaDeviceSynchronize());
  const auto* words = static_cast<const int32_t*>(host);
  for (int32_t r = 0; r < 3; ++r) EXPECT_EQ(words[2 * r], 2 * r + 1);
  expect_cuda(cudaFreeHost(host));
}

}  // namespace
}  // namespace braid::kernels::cuda
