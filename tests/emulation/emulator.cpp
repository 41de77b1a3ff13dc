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
  dim3 index;
  char* shared = nullptr;
};

// The blocks that run together.
struct Cluster {
  std::vector<Block> blocks;
  Rendezvous barrier;
  int living = 0;  // threads that are not done
  const std::function<void()>* kernel = nullptr;
  std::exception_ptr error;
  jmp_buf scheduler{};
  int64_t progress = 0;
  Block* block = nullptr;  // of the running thread
  size_t thread = 0;
};

Cluster cluster;
alignas(1024) char shared[kMostClusterBlocks][kSharedBytes];

void enter(Block& block, size_t thread) {
  cluster.block = &block;
  cluster.thread = thread;
  block_index = block.index;
  thread_index.x = static_cast<unsigned>(thread);
}

void run_thread() {
  try {
    (*cluster.kernel)();
  } catch (...) {
    cluster.error = std::current_exception();
  }
  cluster.block->fibers[cluster.thread].done = true;
  --cluster.living;
  made_progress();
  _longjmp(cluster.scheduler, 1);
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
  if (_setjmp(cluster.scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  setcontext(&fiber.beginning);
}

// Gives every thread of a block a turn.
void run_round(Block& block) {
  for (size_t i = 0; i < block.fibers.size() && !cluster.error; ++i) {
    if (block.fibers[i].done) continue;
    enter(block, i);
    resume(block.fibers[i]);
  }
}

void start(Block& block, int threads, int64_t index, char* memory) {
  block.fibers.resize(static_cast<size_t>(threads));
  block.warps.assign(static_cast<size_t>(threads + 31) / 32, Warp{});
  block.barrier = {};
  std::fill(std::begin(block.named), std::end(block.named), Rendezvous{});
  block.index = dim3(static_cast<unsigned>(index));
  block.shared = memory;
  std::memset(memory, 0xff, kSharedBytes);  // NaN wherever nothing was written
  for (Fiber& fiber : block.fibers) start(fiber);
}

// Runs cluster.blocks, from block `first` of the grid on.
void run_cluster(int threads, int64_t first) {
  cluster.barrier = {};
  cluster.error = nullptr;
  cluster.living = static_cast<int>(cluster.blocks.size()) * threads;
  for (size_t i = 0; i < cluster.blocks.size(); ++i) {
    start(cluster.blocks[i], threads, first + static_cast<int64_t>(i), shared[i]);
  }
  while (cluster.living > 0) {
    const int64_t before = cluster.progress;
    for (Block& block : cluster.blocks) run_round(block);
    if (cluster.error) std::rethrow_exception(cluster.error);
    if (cluster.living > 0 && cluster.progress == before) {
      throw std::runtime_error(std::to_string(cluster.living) + " threads of block " +
                               std::to_string(first) + " wait in vain");
    }
  }
}

}  // namespace

char* shared_memory() { return cluster.block->shared; }

char* shared_memory_of(int rank) { return cluster.blocks.at(static_cast<size_t>(rank)).shared; }

int cluster_rank() { return static_cast<int>(cluster.block - cluster.blocks.data()); }

void made_progress() { ++cluster.progress; }

void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ", block " + std::to_string(block_index.x) +
                           ", thread " + std::to_string(thread_index.x));
}

void yield() {
  Block& block = *cluster.block;
  const size_t me = cluster.thread;
  if (_setjmp(block.fibers[me].place) == 0) _longjmp(cluster.scheduler, 1);
  enter(block, me);
}

void block_barrier() {
  cluster.block->barrier.wait(static_cast<int>(cluster.block->fibers.size()));
}

void cluster_barrier() {
  cluster.barrier.wait(static_cast<int>(cluster.blocks.size() * cluster.block->fibers.size()));
}

void named_barrier(int id, int threads) { cluster.block->named[id].wait(threads); }

void warp_barrier() { cluster.block->warps[cluster.thread / 32].barrier.wait(32); }

const WarpValue* warp_exchange(const WarpValue& value) {
  Warp& warp = cluster.block->warps[cluster.thread / 32];
  WarpValue* given = warp.given[warp.barrier.passed % 2];
  given[cluster.thread % 32] = value;
  warp.barrier.wait(32);
  return given;
}

void run(int64_t blocks, int cluster_blocks, int threads, const std::function<void()>& kernel) {
  if (cluster_blocks > kMostClusterBlocks || blocks % cluster_blocks != 0) {
    throw std::runtime_error("blocks do not fill clusters");
  }
  cluster.kernel = &kernel;
  cluster.blocks.resize(static_cast<size_t>(cluster_blocks));
  grid_size = dim3(static_cast<unsigned>(blocks));
  for (int64_t first = 0; first < blocks; first += cluster_blocks) run_cluster(threads, first);
}

}  // namespace engine::test::emulator
