// Guards of the Interpreter: a block's scope, and a level of nested evaluation.
#pragma once

#include <memory>
#include <utility>

#include "text/template/interpreter.h"

namespace braid::text::tmpl {

// A new scope inside the current one (or inside `parent`) while it lives.
class Interpreter::InnerScope {
 public:
  explicit InnerScope(Interpreter& interpreter) : InnerScope(interpreter, interpreter.scope_) {}
  InnerScope(Interpreter& interpreter, Scope* parent)
      : interpreter_(interpreter), outer_(interpreter.scope_), scope_(std::make_unique<Scope>()) {
    scope_->parent = parent;
    interpreter_.scope_ = scope_.get();
  }
  InnerScope(const InnerScope&) = delete;
  InnerScope& operator=(const InnerScope&) = delete;
  ~InnerScope() {
    interpreter_.scope_ = outer_;
    if (scope_->captured) interpreter_.captured_.push_back(std::move(scope_));
  }

 private:
  Interpreter& interpreter_;
  Scope* outer_;
  std::unique_ptr<Scope> scope_;
};

// Counts a level of nested evaluation while it lives.
class Interpreter::Depth {
 public:
  explicit Depth(Interpreter& interpreter) : interpreter_(interpreter) { ++interpreter_.depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  ~Depth() { --interpreter_.depth_; }

  // Errors: exhausted, when there are too many levels.
  Status check() const {
    const int limit = interpreter_.runtime_.limits().depth;
    if (interpreter_.depth_ <= limit) return {};
    return Error(ErrorKind::exhausted, "the template is nested too deeply, or a macro calls itself")
        .with("limit", limit);
  }

 private:
  Interpreter& interpreter_;
};

}  // namespace braid::text::tmpl
