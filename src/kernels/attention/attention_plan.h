// What FlashInfer's attention kernel wants to know about a step: the rows' requests (runs of rows
// of one sequence), and the tiles of query rows that its blocks take. Made once a step for all
// layers whose groups of query heads are of one size. The CPU's attention needs none.
#pragma once

#include <algorithm>
#include <cstdint>

namespace braid::kernels {

struct AttentionPlanDesc {
  int32_t group = 0;  // query heads that share a KV head
};

// Blocks that take tiles of one size; those that have no work are not valid. [num_tiles] each.
struct AttentionTiles {
  int32_t tile_rows = 0;  // of q, counting every head of a group as one
  int64_t num_tiles = 0;
  int32_t* requests = nullptr;
  int32_t* indices = nullptr;  // of the tile within its request
  bool* valid = nullptr;
};

inline constexpr int32_t kSmallTile = 16;
inline constexpr int32_t kLargeTile = 128;

// Requests of one row have small tiles, others large ones. Where there are no more rows than
// sequences every row is a request of its own, and there are no large tiles. What is launched
// depends on the sizes alone.
struct AttentionPlan {
  // The arrays lie in `memory`, a column of `words` 32-bit words; nullptr: only the sizes.
  AttentionPlan(const AttentionPlanDesc& desc, int64_t rows, int64_t num_sequences,
                int32_t* memory = nullptr)
      : num_requests(std::min(rows, num_sequences)), group(desc.group) {
    const auto tiles = [&](int64_t tile_rows) {
      return num_requests * ((group + tile_rows - 1) / tile_rows);
    };
    small.tile_rows = kSmallTile;
    small.num_tiles = tiles(kSmallTile);
    large.tile_rows = kLargeTile;
    // Every request may end in a tile that is not full.
    if (rows > num_sequences) large.num_tiles = rows * group / kLargeTile + num_requests;
    const auto take = [this, memory]<typename T>(T*& array, int64_t count) {
      if (memory != nullptr) array = reinterpret_cast<T*>(memory + words);
      words += (count * static_cast<int64_t>(sizeof(T)) + 15) / 16 * 4;
    };
    take(first_rows, num_requests);
    take(num_rows, num_requests);
    take(lengths, num_requests);
    take(pages, num_requests + 1);
    take(zeros, std::max(small.num_tiles, large.num_tiles));
    take(no_chunk, 1);
    for (AttentionTiles* some : {&small, &large}) {
      take(some->requests, some->num_tiles);
      take(some->indices, some->num_tiles);
      take(some->valid, some->num_tiles);
    }
  }

  int64_t num_requests = 0;
  int64_t group = 0;
  int32_t* first_rows = nullptr;  // [num_requests], of q
  int32_t* num_rows = nullptr;    // [num_requests]; 0: no rows in this step
  int32_t* lengths = nullptr;     // [num_requests], positions up to the last row's
  int32_t* pages = nullptr;       // [num_requests + 1], where the request's are in the block table
  int32_t* zeros = nullptr;       // [tiles of either size], all 0
  int32_t* no_chunk = nullptr;    // [1], more than any length
  AttentionTiles small;
  AttentionTiles large;
  int64_t words = 0;
};

}  // namespace braid::kernels
