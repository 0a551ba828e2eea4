#include "kernels/moe/cuda/moe.h"

#include "kernels/cuda/test_support.h"
#include "kernels/moe/cpu/moe.h"

namespace braid::kernels::cuda {
namespace {

// Slots of which some are popular, about one choice of eight −1.
Grid<int32_t> random_ids(Random& random, int64_t rows, int64_t top_k, int32_t slots) {
  Grid<int32_t> ids(rows, top_k, 1);
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t k = 0; k < top_k; ++k) {
      const int64_t bound = cpu::random_below(random, 3) == 0 ? (slots + 5) / 6 : slots;
      ids.at(t, k) = cpu::random_below(random, 8) == 0
                         ? -1
                         : static_cast<int32_t>(cpu::random_below(random, bound));
    }
  }
  return ids;
}

// table [E, replicas], or empty.
void expect_cpus_permutation(const Grid<int32_t>& ids, int32_t slots, int32_t first_slot = 0,
                             const std::vector<int32_t>& table = {}, int32_t replicas = 0) {
  const int64_t rows = ids.rows(), top_k = ids.cols();
  SCOPED_TRACE(testing::Message() << rows << " x " << top_k << " in " << slots << " slots");
  const int64_t capacity = rows * top_k;
  std::vector<int32_t> offsets(static_cast<size_t>(slots) + 1);
  std::vector<int32_t> source(static_cast<size_t>(capacity), -1);
  Grid<int32_t> places(rows, top_k);
  const SlotTable host_table{table.empty() ? nullptr : table.data(), replicas};
  cpu::permute({slots, first_slot}, rows, top_k, ids.input(), host_table, offsets.data(),
               source.data(), places.matrix());

  const DeviceGrid<int32_t> device_ids(ids), device_places(rows, top_k, 3);
  const DeviceArray<int32_t> device_offsets(slots + 1), device_source(capacity);
  const DeviceArray<int32_t> device_table(table);
  const SlotTable slot_table{table.empty() ? nullptr : device_table.data(), replicas};
  permute({slots, first_slot}, rows, top_k, device_ids.input(), slot_table, device_offsets.data(),
          device_source.data(), device_places.matrix(), nullptr);
  EXPECT_EQ(device_offsets.fetch(), offsets);
  EXPECT_EQ(device_source.fetch(), source);  // also: nothing behind the last grouped row
  Grid<int32_t> got = device_places.fetch();
  expect_same(got, places, rows);
}

TEST(CudaPermuteTest, EqualsTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const int32_t slots : {1, 16, 128, 257, 1024}) {
    for (const auto& [rows, top_k] :
         {std::pair<int64_t, int64_t>{1, 1}, {1, 8}, {5, 6}, {127, 8}, {700, 7}, {2048, 4}}) {
      expect_cpus_permutation(random_ids(random, rows, top_k, slots), slots);
    }
  }
}

// Sizes that several blocks share.
TEST(CudaPermuteTest, EqualsTheCpuForManyRows) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const int64_t rows : {1025, 2049, 4097, 16384}) {
    expect_cpus_permutation(random_ids(random, rows, 8, 128), 128);
  }
  expect_cpus_permutation(random_ids(random, 16384, 6, 257), 257);
  expect_cpus_permutation(random_ids(random, 16383, 9, 5), 5);
}

TEST(CudaPermuteTest, OneSlotMayHaveAllRowsOrNone) {
  BRAID_NEEDS_GPU();
  for (const int64_t rows : {3, 3000}) {
    for (const int32_t slot : {-1, 0, 31}) {
      Grid<int32_t> ids(rows, 8);
      for (int64_t t = 0; t < rows; ++t) std::fill_n(ids.matrix().row(t), 8, slot);
      expect_cpus_permutation(ids, 32);
    }
  }
}

// Ids of experts that other ranks hold are not here.
TEST(CudaPermuteTest, OwnersOfSomeExperts) {
  BRAID_NEEDS_GPU();
  Random random(4);
  for (const int64_t rows : {1, 127, 3000}) {
    const Grid<int32_t> ids = random_ids(random, rows, 8, 160);
    for (const auto& [first, count] : {std::pair<int32_t, int32_t>{0, 40}, {40, 80}, {159, 1}}) {
      expect_cpus_permutation(ids, count, first);
    }
  }
}

// Replicas by table: 1 to 4 of each expert, on ranks of 40 slots.
TEST(CudaPermuteTest, TablesOfReplicas) {
  BRAID_NEEDS_GPU();
  Random random(6);
  constexpr int32_t kExperts = 60, kReplicas = 4;
  std::vector<int32_t> table(kExperts * kReplicas, -1);
  int32_t slots = 0;
  for (int32_t expert = 0; expert < kExperts; ++expert) {
    for (int32_t replica = 0; replica <= expert % kReplicas; ++replica) {
      table[static_cast<size_t>(expert * kReplicas + replica)] = slots++;
    }
  }
  for (const int64_t rows : {1, 127, 3000, 9001}) {
    const Grid<int32_t> ids = random_ids(random, rows, 6, kExperts);
    for (int32_t first = 0; first < slots; first += 40) {
      expect_cpus_permutation(ids, 40, first, table, kReplicas);
    }
  }
}

TEST(CudaPermuteTest, SharedSlotsHaveEveryRow) {
  BRAID_NEEDS_GPU();
  Random random(7);
  for (const int64_t rows : {1, 127, 3000, 9001}) {
    for (const int32_t shared : {1, 2}) {
      const PermuteDesc desc{.num_slots = 64 + shared, .num_shared = shared};
      const Grid<int32_t> ids = random_ids(random, rows, 8, 64);
      std::vector<int32_t> offsets(static_cast<size_t>(desc.num_slots) + 1);
      std::vector<int32_t> source(static_cast<size_t>(rows * (8 + shared)), -1);
      Grid<int32_t> places(rows, 8 + shared);
      cpu::permute(desc, rows, 8, ids.input(), {}, offsets.data(), source.data(), places.matrix());
      const DeviceGrid<int32_t> device_ids(ids), device_places(rows, 8 + shared, 3);
      const DeviceArray<int32_t> device_offsets(desc.num_slots + 1);
      const DeviceArray<int32_t> device_source(rows * (8 + shared));
      permute(desc, rows, 8, device_ids.input(), {}, device_offsets.data(), device_source.data(),
              device_places.matrix(), nullptr);
      EXPECT_EQ(device_offsets.fetch(), offsets);
      EXPECT_EQ(device_source.fetch(), source);
      Grid<int32_t> got = device_places.fetch();
      expect_same(got, places, rows);
    }
  }
}

template <typename T>
class CudaCombineTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaCombineTest, AllTypes);

TYPED_TEST(CudaCombineTest, HasTheCpusBits) {
  BRAID_NEEDS_GPU();
  Random random(3);
  for (const auto& [rows, cols, top_k, padding] : {std::array<int64_t, 4>{1, 2048, 8, 0},
                                                   {5, 4096, 6, 8},
                                                   {127, 7168, 9, 0},
                                                   {6, 37, 3, 2},
                                                   {2, 9000, 2, 0},
                                                   {4, 64, 1, 5}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols << ", top " << top_k);
    const Grid<TypeParam> grouped(random, rows * top_k, cols, padding);
    const Grid<float> weights(random, rows, top_k, 1);
    Grid<int32_t> places(rows, top_k, 2);
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t k = 0; k < top_k; ++k) {
        const int64_t place = cpu::random_below(random, rows * top_k);
        places.at(t, k) = t == 1 || place % 5 == 4 ? -1 : static_cast<int32_t>(place);
      }
    }
    Grid<TypeParam> want(rows, cols);
    cpu::combine<TypeParam>(CombineDesc{}, rows, cols, top_k, grouped.input(), places.input(),
                            weights.input(), want.matrix());
    const DeviceGrid<TypeParam> device_grouped(grouped), out(rows, cols, padding);
    const DeviceGrid<float> device_weights(weights);
    const DeviceGrid<int32_t> device_places(places);
    combine<TypeParam>(CombineDesc{}, rows, cols, top_k, device_grouped.input(),
                       device_places.input(), device_weights.input(), out.matrix(), nullptr);
    Grid<TypeParam> got = out.fetch();
    expect_same(got, want, rows);
  }
}

TYPED_TEST(CudaCombineTest, SharedPlacesHaveTheWeightOne) {
  BRAID_NEEDS_GPU();
  Random random(8);
  const Grid<TypeParam> grouped(random, 40, 2048, 0);
  const Grid<float> weights(random, 9, 6, 1);
  Grid<int32_t> places(9, 8, 2);
  for (int64_t t = 0; t < 9; ++t) {
    for (int64_t k = 0; k < 8; ++k) {
      places.at(t, k) = static_cast<int32_t>(cpu::random_below(random, 40));
    }
  }
  const CombineDesc desc{.num_shared = 2};
  Grid<TypeParam> want(9, 2048);
  cpu::combine<TypeParam>(desc, 9, 2048, 6, grouped.input(), places.input(), weights.input(),
                          want.matrix());
  const DeviceGrid<TypeParam> device_grouped(grouped), out(9, 2048, 0);
  const DeviceGrid<float> device_weights(weights);
  const DeviceGrid<int32_t> device_places(places);
  combine<TypeParam>(desc, 9, 2048, 6, device_grouped.input(), device_places.input(),
                     device_weights.input(), out.matrix(), nullptr);
  Grid<TypeParam> got = out.fetch();
  expect_same(got, want, 9);
}

}  // namespace
}  // namespace braid::kernels::cuda
