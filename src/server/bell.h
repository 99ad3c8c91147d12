// Bell: what a coroutine waits on for news from other threads.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <utility>

namespace bitnet::server {

// Rung any number of times from any thread; waited for by one coroutine on the context. Held by shared_ptr.
class Bell : public std::enable_shared_from_this<Bell> {
 public:
  explicit Bell(boost::asio::io_context& context) : context_(context), timer_(context) {}

  // From any thread.
  void ring() {
    boost::asio::post(context_, [self = shared_from_this()] { self->rung_ = true, self->timer_.cancel(); });
  }

  // False when `limit` passed without a ring.
  boost::asio::awaitable<bool> wait(std::chrono::milliseconds limit) {
    if (!rung_) {
      boost::system::error_code ignored;
      timer_.expires_after(limit);
      co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
    co_return std::exchange(rung_, false);
  }

 private:
  boost::asio::io_context& context_;
  boost::asio::steady_timer timer_;
  bool rung_ = false;
};

}  // namespace bitnet::server
