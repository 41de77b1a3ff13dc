#include "tests/emulation/emulator.h"

#include <setjmp.h>
#include <ucontext.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace engine::test::emulator {

dim3 thread_index, block_index, grid_size;

namespace {

constexpr size_t kStackBytes = 128 * 1024;

// A context brings a fiber onto its stack; from then on it is left and entered by jumps, which,
// other than swapcontext(), make no system call.
struct Fiber {
  ucontext_t beginning{};
  jmp_buf place{};
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStackBytes);
  bool begun = false;
  bool done = false;
};

// A barrier that its threads pass again and again.
struct Rendezvous {
  int arrived = 0;
  int64_t passed = 0;

  void wait(int threads) {
    const int64_t mine = passed;
    if (++arrived == threads) {
      arrived = 0;
      ++passed;
      made_progress();
    }
    while (passed == mine) yield();
  }
};

struct Warp {
  Rendezvous barrier;
  WarpValue given[2][32] =
      {};  // in turn: no thread enters an exchange before all left the last but one
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Rendezvous barrier;
  Rendezvous named[16];
  const std::function<void()>* kernel = nullptr;
  std::exception_ptr error;
  jmp_buf scheduler{};
  int64_t progress = 0;
  size_t current = 0;
};

Block block;
alignas(1024) char shared[kSharedBytes];

void enter(size_t thread) {
  block.current = thread;
  thread_index.x = static_cast<unsigned>(thread);
}

void run_thread() {
  try {
    (*block.kernel)();
  } catch (...) {
    block.error = std::current_exception();
  }
  block.fibers[block.current].done = true;
  made_progress();
  _longjmp(block.scheduler, 1);
}

void start(Fiber& fiber) {
  fiber.begun = fiber.done = false;
  getcontext(&fiber.beginning);
  fiber.beginning.uc_stack.ss_sp = fiber.stack.get();
  fiber.beginning.uc_stack.ss_size = kStackBytes;
  fiber.beginning.uc_link = nullptr;
  makecontext(&fiber.beginning, run_thread, 0);
}

// Runs a fiber until it yields or is done.
void resume(Fiber& fiber) {
  if (_setjmp(block.scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  setcontext(&fiber.beginning);
}

// Gives every thread a turn; returns how many are not done.
int run_round() {
  int left = 0;
  for (size_t i = 0; i < block.fibers.size() && !block.error; ++i) {
    if (block.fibers[i].done) continue;
    enter(i);
    resume(block.fibers[i]);
    if (!block.fibers[i].done) ++left;
  }
  return left;
}

void run_block(int threads) {
  std::memset(shared, 0xff, sizeof shared);  // NaN wherever nothing was written
  block.warps.assign(static_cast<size_t>(threads + 31) / 32, Warp{});
  block.barrier = {};
  std::fill(std::begin(block.named), std::end(block.named), Rendezvous{});
  block.error = nullptr;
  for (Fiber& fiber : block.fibers) start(fiber);
  for (;;) {
    const int64_t before = block.progress;
    const int left = run_round();
    if (block.error) std::rethrow_exception(block.error);
    if (left == 0) return;
    if (block.progress == before) {
      throw std::runtime_error(std::to_string(left) + " threads of block " +
                               std::to_string(block_index.x) + " wait in vain");
    }
  }
}

}  // namespace

char* shared_memory() { return shared; }

void made_progress() { ++block.progress; }

void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ", block " + std::to_string(block_index.x) +
                           ", thread " + std::to_string(thread_index.x));
}

void yield() {
  const size_t me = block.current;
  if (_setjmp(block.fibers[me].place) == 0) _longjmp(block.scheduler, 1);
  enter(me);
}

void block_barrier() { block.barrier.wait(static_cast<int>(block.fibers.size())); }

void named_barrier(int id, int threads) { block.named[id].wait(threads); }

void warp_barrier() { block.warps[block.current / 32].barrier.wait(32); }

const WarpValue* warp_exchange(const WarpValue& value) {
  Warp& warp = block.warps[block.current / 32];
  WarpValue* given = warp.given[warp.barrier.passed % 2];
  given[block.current % 32] = value;
  warp.barrier.wait(32);
  return given;
}

void run(int64_t blocks, int threads, const std::function<void()>& kernel) {
  block.kernel = &kernel;
  block.fibers.resize(static_cast<size_t>(threads));
  grid_size = dim3(static_cast<unsigned>(blocks));
  for (int64_t b = 0; b < blocks; ++b) {
    block_index = dim3(static_cast<unsigned>(b));
    run_block(threads);
  }
}

}  // namespace engine::test::emulator
