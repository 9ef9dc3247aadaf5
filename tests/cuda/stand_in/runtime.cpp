#include "tests/cuda/stand_in/runtime.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/check.h"
#include "tensor/simt/memory.h"

using chapbook::simt::Work;
using chapbook::stand_in::forbidden;
using Works = std::vector<Work>;

struct CUgraph_st {
  Works works;
};
struct CUgraphExec_st {
  Works works;
};
struct CUevent_st {
  int64_t after = 0;  // so many works
};

// The stream, of which there is one. What is submitted arrives at its end, or in the graph that captures it.
struct CUstream_st {
  Works arrived;
  std::deque<Work> line;
  int64_t done = 0, accepted = 0;  // works so far
  CUgraph_st* capture = nullptr;

  void listen() { chapbook::simt::record_into(capture ? &capture->works : &arrived); }
  void accept() {
    accepted += static_cast<int64_t>(arrived.size());
    for (Work& work : arrived) line.push_back(std::move(work));
    arrived.clear();
  }
  // Does the first `count` works that there ever were.
  void run_until(int64_t count) {
    accept();
    while (done < count) {
      const Work work = std::move(line.front());
      line.pop_front();
      ++done;
      work();
    }
  }
  void run() {
    accept();
    run_until(accepted);
  }
};

static CUstream_st the_stream;
static std::map<const char*, size_t> pinned;
static size_t in_use = 0;
static std::map<void*, size_t> device_blocks;
static cudaError_t last_error = cudaSuccess;

static std::string_view setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

static size_t device_memory() {
  const std::string_view asked = setting("CHAPBOOK_STAND_IN_MEMORY");
  return (asked.empty() ? size_t{8192} : std::strtoull(asked.data(), nullptr, 10)) << 20;
}

static cudaError_t answer(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

static bool is_pinned(const void* data, size_t bytes) {
  const char* begin = static_cast<const char*>(data);
  auto after = pinned.upper_bound(begin);
  if (after == pinned.begin()) return false;
  --after;
  return begin + bytes <= after->first + after->second;
}

namespace chapbook::stand_in {

void forbidden(const char* what) { fail("the stand-in for CUDA: {}", what); }

void submit(Work work) { simt::submit(std::move(work)); }

bool on_device(const void* data, size_t bytes) {
  const simt::GlobalBlock block = simt::global_block(data);
  return block.begin && static_cast<const char*>(data) + bytes <= block.begin + block.bytes;
}

}  // namespace chapbook::stand_in

extern "C" {

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorMemoryAllocation ? "out of memory" : "another error";
}

// ---- The device ----

cudaError_t cudaDriverGetVersion(int* version) {
  const std::string_view lacks = setting("CHAPBOOK_STAND_IN");
  *version = lacks == "no-driver" ? 0 : lacks == "old-driver" ? 11040 : CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  const std::string_view lacks = setting("CHAPBOOK_STAND_IN");
  *count = lacks.empty();
  return lacks == "old-driver"  ? answer(cudaErrorInsufficientDriver)
         : lacks == "no-device" ? answer(cudaErrorNoDevice)
                                : cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* device, int) {
  *device = {};
  std::strcpy(device->name, "no device: a stand-in on the host");
  device->major = 9;
  device->multiProcessorCount = 2;
  device->totalGlobalMem = device_memory();
  return cudaSuccess;
}

// ---- Memory ----

cudaError_t cudaMalloc(void** block, size_t bytes) {
  if (in_use + bytes > device_memory()) return answer(cudaErrorMemoryAllocation);
  *block = chapbook::simt::allocate_global(bytes);
  device_blocks[*block] = bytes;
  in_use += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* block) {  // waits for the device
  if (!block) return cudaSuccess;
  const auto found = device_blocks.find(block);
  if (found == device_blocks.end()) forbidden("cudaFree of no block");
  the_stream.run();
  in_use -= found->second;
  device_blocks.erase(found);
  chapbook::simt::release_global(block);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** block, size_t bytes) {
  *block = std::malloc(bytes);
  pinned[static_cast<char*>(*block)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* block) {
  the_stream.run();
  pinned.erase(static_cast<char*>(block));
  std::free(block);
  return cudaSuccess;
}

// From and to pinned memory when its turn comes. Other memory is read at once, and has been written when the
// call returns.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  const bool up = kind == cudaMemcpyHostToDevice;
  const void *device = up ? to : from, *host = up ? from : to;
  if (!up && kind != cudaMemcpyDeviceToHost) forbidden("no copies of that kind are made");
  if (!chapbook::stand_in::on_device(device, bytes)) forbidden("a copy from or to what is not the device's");
  const bool waits = is_pinned(host, bytes);
  if (!waits && the_stream.capture) forbidden("a copy of memory that is not pinned is captured");
  const auto copy = [=](const void* source) {
    std::memcpy(to, source, bytes);
    if (up) chapbook::simt::global_memory().set_written(to, bytes);
  };
  if (waits) {
    chapbook::stand_in::submit([=] { copy(from); });
  } else if (up) {
    const char* begin = static_cast<const char*>(from);
    chapbook::stand_in::submit([copy, numbers = std::string(begin, bytes)] { copy(numbers.data()); });
  } else {
    chapbook::stand_in::submit([=] { copy(from); });
    the_stream.run();
  }
  return cudaSuccess;
}

// ---- The stream, events and graphs ----

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = &the_stream;
  the_stream.listen();
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capture) forbidden("the host waits for a stream that is captured");
  stream->run();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (stream->capture) forbidden("an event of a captured stream");
  stream->accept();
  event->after = stream->accepted;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  the_stream.run_until(event->after);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (stream->capture) forbidden("two captures at a time");
  // Other modes forbid cudaMalloc, which the block cache may need.
  if (mode != cudaStreamCaptureModeRelaxed) forbidden("not a relaxed capture");
  stream->capture = new CUgraph_st;
  stream->listen();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream->capture) forbidden("the end of no capture");
  *graph = std::exchange(stream->capture, nullptr);
  stream->listen();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->works};
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (stream->capture) forbidden("a graph in a graph");
  for (const Work& work : executable->works) stream->arrived.push_back(work);
  return cudaSuccess;
}

}  // extern "C"
