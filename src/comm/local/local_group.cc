#include "comm/local/local_group.h"

#include <algorithm>

#include "base/float16.h"

namespace braid::comm {
namespace {

bool alike(const Rows& a, const Rows& b) {
  return a.rows == b.rows && a.cols == b.cols && a.format == b.format;
}

std::string text_of(const Rows& rows) {
  return fmt::format("[{}, {}] {}", rows.rows, rows.cols, name_of(rows.format));
}

}  // namespace

class LocalGroup::Member final : public Communicator {
 public:
  Member(LocalGroup& group, size_t index) : group_(group), index_(index) {}

  int32_t rank() const override { return static_cast<int32_t>(index_); }
  int32_t size() const override { return static_cast<int32_t>(group_.size()); }
  Status all_reduce(const Rows& in, const Rows& out, device::Queue* /*queue*/) override {
    return group_.all_reduce(index_, in, out);
  }
  void abort(const Error& why) override { group_.fail(why); }
  Status status() const override { return group_.status(); }

 private:
  LocalGroup& group_;
  size_t index_;
};

LocalGroup::LocalGroup(std::vector<int32_t> ranks, std::chrono::milliseconds timeout)
    : ranks_(std::move(ranks)), timeout_(timeout), posted_(ranks_.size()) {
  for (size_t index = 0; index < size(); ++index) {
    members_.push_back(std::make_unique<Member>(*this, index));
  }
}

LocalGroup::~LocalGroup() = default;

Communicator& LocalGroup::member(int32_t index) { return *members_[static_cast<size_t>(index)]; }

Status LocalGroup::all_reduce(size_t index, const Rows& in, const Rows& out) {
  BRAID_CHECK(alike(in, out), "({} into {})", text_of(in), text_of(out));
  if (in.format != Format::f32 && in.format != Format::bf16) {
    return Error(ErrorKind::unsupported, "threads sum rows of f32 and bf16 only")
        .with("format", name_of(in.format));
  }
  TRY(meet(index, in, out));
  sum_columns(index);
  part();
  return {};
}

// Waits until all members are here: all of them go on, or none does.
Status LocalGroup::meet(size_t index, const Rows& in, const Rows& out) {
  std::unique_lock lock(mutex_);
  if (!failure_.ok()) return failure_;
  posted_[index] = {in, out, true};
  if (++arrived_ == size()) {
    failure_ = check_alike();
    arrived_ = 0;
    for (Posted& posted : posted_) posted.here = false;
    if (failure_.ok()) ++meetings_;
    changed_.notify_all();
    return failure_;
  }
  const int64_t before = meetings_;
  const bool in_time =
      changed_.wait_for(lock, timeout_, [&] { return meetings_ != before || !failure_.ok(); });
  if (meetings_ != before) return {};
  if (!in_time) {
    failure_ = late(index);
    changed_.notify_all();
  }
  return failure_;
}

// Waits until all members have done their share. No member can fail in between.
void LocalGroup::part() {
  std::unique_lock lock(mutex_);
  if (++parted_ == size()) {
    parted_ = 0;
    ++partings_;
    changed_.notify_all();
    return;
  }
  changed_.wait(lock, [this, before = partings_] { return partings_ != before; });
}

namespace {

// Columns [first, last) of the sums, to all outs.
template <typename T>
struct ColumnSums {
  int64_t first;
  int64_t last;

  static T* row(const Rows& rows, int64_t index) {
    return reinterpret_cast<T*>(rows.data + index * rows.stride);
  }

  template <typename Posts>
  void run(const Posts& posted, int64_t rows) const {
    std::vector<float> sums(static_cast<size_t>(last - first));
    for (int64_t r = 0; r < rows; ++r) {
      std::fill(sums.begin(), sums.end(), -0.0f);  // −0 + x is x, whatever the sign of x
      for (const auto& post : posted) {
        const T* in = row(post.in, r) + first;
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += to_float(in[i]);
      }
      for (const auto& post : posted) {
        T* out = row(post.out, r) + first;
        for (size_t i = 0; i < sums.size(); ++i) out[i] = from_float<T>(sums[i]);
      }
    }
  }
};

}  // namespace

void LocalGroup::sum_columns(size_t index) const {
  const Rows& shape = posted_.front().in;
  const auto n = static_cast<int64_t>(size());
  const auto i = static_cast<int64_t>(index);
  const int64_t first = shape.cols * i / n;
  const int64_t last = shape.cols * (i + 1) / n;
  if (shape.format == Format::f32) return ColumnSums<float>{first, last}.run(posted_, shape.rows);
  ColumnSums<bf16>{first, last}.run(posted_, shape.rows);
}

Status LocalGroup::check_alike() const {
  for (size_t index = 1; index < size(); ++index) {
    if (alike(posted_[0].in, posted_[index].in)) continue;
    return Error(ErrorKind::fault, "ranks meet in a collective with different rows")
        .with("rank", ranks_[0])
        .with("rows", text_of(posted_[0].in))
        .with("other rank", ranks_[index])
        .with("its rows", text_of(posted_[index].in));
  }
  return {};
}

Error LocalGroup::late(size_t waiting) const {
  std::vector<int32_t> missing;
  for (size_t index = 0; index < size(); ++index) {
    if (!posted_[index].here) missing.push_back(ranks_[index]);
  }
  return Error(ErrorKind::fault, "a rank did not come to a collective in time")
      .with("missing rank", fmt::format("{}", fmt::join(missing, ", ")))
      .with("waiting rank", ranks_[waiting])
      .with("collective", meetings_ + 1)
      .with("rows", text_of(posted_[waiting].in))
      .with("milliseconds", timeout_.count());
}

void LocalGroup::fail(const Error& why) {
  const std::lock_guard lock(mutex_);
  if (failure_.ok()) failure_ = why;
  changed_.notify_all();
}

Status LocalGroup::status() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace braid::comm
