#include "model/weight_loader.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

#include "ops/fill.h"

namespace braid::model {
namespace {

constexpr int64_t kPieceBytes = int64_t{4} << 20;
constexpr int32_t kMostThreads = 8;  // several times what a GPU's link takes

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows of a buffer: the unit of work.
struct Piece {
  const PlannedWeight* weight = nullptr;
  std::byte* data = nullptr;
  Format format = Format::f32;
  int64_t columns = 0;  // numbers in a row
  int64_t first_row = 0;
  int64_t rows = 0;

  int64_t row_bytes() const { return columns * bytes_of(format); }
  int64_t bytes() const { return rows * row_bytes(); }
};

// What one part lays into a piece: rows of its block, and where the first of them goes.
struct Fragment {
  const WeightPart* part;
  Block block;
  int64_t row;  // of the piece
};

// The fragments of a piece, in the order of the parts.
template <typename Body>
Status for_each_fragment(const Piece& piece, const Body& body) {
  for (const WeightPart& part : piece.weight->parts) {
    const int64_t before = piece.first_row - part.first_row;
    const int64_t first = before <= 0 ? 0 : ceil_div(before, part.row_step);
    const int64_t end = std::min(part.rows(), before + piece.rows <= 0
                                                  ? int64_t{0}
                                                  : ceil_div(before + piece.rows, part.row_step));
    if (first >= end) continue;
    Block block = part.block();
    block.first_row += first;
    block.rows = end - first;
    TRY(body(Fragment{&part, block, first * part.row_step - before}));
  }
  return {};
}

std::vector<Piece> cut(std::span<const PlannedWeight> weights, const flow::Residents& residents) {
  std::vector<Piece> pieces;
  for (const PlannedWeight& weight : weights) {
    const flow::Resident& to = residents[weight.resident];
    Piece piece{.weight = &weight, .format = to.format};
    piece.columns = weight.parts.front().target_columns(to.cols);
    const int64_t rows = to.rows * to.cols / piece.columns;
    const int64_t at_once = std::max<int64_t>(1, kPieceBytes / piece.row_bytes());
    for (int64_t row = 0; row < rows; row += at_once) {
      piece.data = residents.data(weight.resident) + row * piece.row_bytes();
      piece.first_row = row;
      piece.rows = std::min(at_once, rows - row);
      pieces.push_back(piece);
    }
  }
  return pieces;
}

// What one thread does.
class Loader {
 public:
  Loader(const TensorSource& source, const flow::LauncherTable& kernels, device::Uploads& uploads)
      : source_(source), kernels_(kernels), uploads_(uploads) {}

  Status load(const Piece& piece) const { return is_made_up(piece) ? make(piece) : read(piece); }

 private:
  // What makes a fragment's numbers; nothing where they are read. Zeros are made, too.
  std::optional<kernels::UniformDesc> formula(const Fragment& fragment) const {
    const WeightPart& part = *fragment.part;
    if (fragment.block.columns == 0) return kernels::UniformDesc{};
    std::optional<kernels::UniformDesc> desc = source_.formula(part.tensor);
    if (!desc) return std::nullopt;
    const int64_t stride = columns_of(part.shape);
    const Block& block = fragment.block;
    desc->first = static_cast<uint64_t>(block.first_row * stride + block.first_column);
    desc->stride = static_cast<uint64_t>(stride);
    desc->columns = block.columns;
    return desc;
  }

  bool is_made_up(const Piece& piece) const {
    bool all = true;
    (void)for_each_fragment(piece, [&](const Fragment& fragment) -> Status {
      all = all && formula(fragment).has_value();
      return {};
    });
    return all;
  }

  // Right on the device.
  Status make(const Piece& piece) const {
    return for_each_fragment(piece, [&](const Fragment& fragment) {
      const flow::Arg out{.data = piece.data + fragment.row * piece.row_bytes(),
                          .stride = fragment.part->row_step * piece.row_bytes(),
                          .rows = fragment.block.rows,
                          .cols = piece.columns,
                          .format = piece.format};
      return kernels_.launch(flow::AnyDesc(*formula(fragment)), {&out, 1}, uploads_.queue());
    });
  }

  // Through the host.
  Status read(const Piece& piece) const {
    std::byte* staged = TRY(uploads_.stage(piece.data, piece.bytes()));
    TRY(for_each_fragment(piece, [&](const Fragment& fragment) -> Status {
      const Block& block = fragment.block;
      const NumberRows to{.data = staged + fragment.row * piece.row_bytes(),
                          .format = piece.format,
                          .stride = fragment.part->row_step * piece.row_bytes()};
      const int64_t filled = block.columns * bytes_of(piece.format);
      for (int64_t row = 0; filled < piece.row_bytes() && row < block.rows; ++row) {
        std::memset(to.data + row * to.stride + filled, 0,
                    static_cast<size_t>(piece.row_bytes() - filled));
      }
      if (block.columns == 0) return {};
      return source_.read_block(fragment.part->tensor, fragment.part->shape, block, to);
    }));
    return uploads_.send();
  }

  const TensorSource& source_;
  const flow::LauncherTable& kernels_;
  device::Uploads& uploads_;
};

// The pieces, and which of them the threads have taken.
class Pieces {
 public:
  Pieces(const TensorSource& source, std::vector<Piece> pieces, const Loading& how)
      : source_(source), pieces_(std::move(pieces)), how_(how) {
    for (const Piece& piece : pieces_) piece_bytes_ = std::max(piece_bytes_, piece.bytes());
  }

  Status load() {
    std::vector<std::thread> others;
    const auto threads =
        std::min<size_t>(static_cast<size_t>(std::max(how_.threads, 1)), pieces_.size());
    others.reserve(threads);
    try {
      while (others.size() + 1 < threads) others.emplace_back([this] { run(); });
    } catch (const std::system_error&) {
      // The system gives no more threads: those that there are load everything.
    }
    run();
    for (std::thread& other : others) other.join();
    return std::move(error_);
  }

 private:
  // Takes pieces until no piece is left, or until one has failed.
  void run() {
    const Status ended = take_all();
    if (!ended.ok()) fail(0, ended);  // the device's own error
  }

  Status take_all() {
    const std::unique_ptr<device::Uploads> uploads = TRY(how_.device.open_uploads(piece_bytes_));
    const Loader loader(source_, how_.kernels, *uploads);
    for (;;) {
      const size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      // Pieces are taken in their order: all before the first bad one have been taken by now.
      if (index >= pieces_.size() || index > failed_.load(std::memory_order_relaxed)) break;
      const Status loaded = loader.load(pieces_[index]);
      if (!loaded.ok()) {
        fail(index, loaded);
      } else if (how_.progress) {
        how_.progress(pieces_[index].bytes());
      }
    }
    return uploads->finish();
  }

  void fail(size_t index, const Status& error) {
    const std::lock_guard lock(mutex_);
    if (index > failed_.load(std::memory_order_relaxed)) return;
    failed_.store(index, std::memory_order_relaxed);
    error_ = error;
  }

  const TensorSource& source_;
  const std::vector<Piece> pieces_;
  const Loading& how_;
  int64_t piece_bytes_ = 0;  // of the largest
  std::atomic<size_t> next_{0};
  std::atomic<size_t> failed_{SIZE_MAX};  // the first piece that could not be loaded
  std::mutex mutex_;
  Status error_;  // its error; guarded by mutex_ while threads run
};

}  // namespace

int32_t loader_threads(int32_t ranks) {
  const auto cores = static_cast<int32_t>(std::thread::hardware_concurrency());
  return std::clamp(cores / std::max(ranks, 1), 1, kMostThreads);
}

Status load_weights(const TensorSource& source, std::span<const PlannedWeight> weights,
                    const flow::Residents& residents, const Loading& how) {
  return Pieces(source, cut(weights, residents), how).load();
}

}  // namespace braid::model
