#include "tensor/cuda/device_backend.h"

#include <new>

namespace chapbook {

static cudaStream_t the_stream = nullptr;
cudaStream_t stream() { return the_stream; }

void check_cuda(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // else the next call would report it again
  check(status != cudaErrorNoKernelImageForDevice,
        "cuda: this program was not compiled for this device; cmake -DCMAKE_CUDA_ARCHITECTURES=native does");
  fail("cuda: {}: {}", what, cudaGetErrorString(status));
}

// Why there may be no device comes first: it is shown where backends are listed.
static cudaDeviceProp open_device() {
  int driver = 0, runtime = 0, devices = 0;
  cudaDriverGetVersion(&driver);  // of the newest CUDA it knows: 12020 is 12.2
  cudaRuntimeGetVersion(&runtime);
  check(driver > 0, "no NVIDIA driver");
  const cudaError_t status = cudaGetDeviceCount(&devices);
  check(status != cudaErrorInsufficientDriver,
        "the NVIDIA driver is too old: it knows CUDA {}.{}, and this program was built with {}.{}",
        driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
  check(status != cudaErrorNoDevice && !(status == cudaSuccess && devices == 0), "no device");
  check_cuda(status, "looking for a device");
  cudaDeviceProp device;
  check_cuda(cudaGetDeviceProperties(&device, 0), "looking at the device");
  check_cuda(cudaStreamCreateWithFlags(&the_stream, cudaStreamNonBlocking), "a stream");
  return device;
}

DeviceBackend::DeviceBackend() : device_(open_device()) {
  check_cuda(cudaMallocHost(reinterpret_cast<void**>(&bad_id_), sizeof(BadId)), "pinned memory");
  // If the kernels cannot run here, it shows now.
  fill(View{&state()->counter_shift, DType::f64, {}, {}}, 0);
  synchronize();
}

std::string DeviceBackend::description() const {
  return fmt::format("cuda, {} ({:.1f} GiB, compute capability {}.{}), f32 products in {}", device_.name,
                     device_.totalGlobalMem / 0x1p30, device_.major, device_.minor,
                     products_.tf32() ? "TF32" : "full precision");
}

bool DeviceBackend::trains_in(DType dtype) const {
  if (dtype == DType::bf16) return device_.major >= 8;
  return is_float(dtype);
}

// ---- Memory ----

void* DeviceBackend::allocate(size_t bytes) {
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw std::bad_alloc();  // the cache then says what was asked and what is in use
  }
  check_cuda(status, "memory");
  return block;
}

void DeviceBackend::release(void* block) noexcept { cudaFree(block); }

void DeviceBackend::upload(const void* host, void* here, size_t bytes) {
  check(!reserve_, "cuda: an upload cannot be recorded");
  staging_.upload(host, here, bytes);
}

void DeviceBackend::download(const void* here, void* host, size_t bytes) {
  check(!reserve_, "cuda: a download cannot be recorded");
  check_cuda(cudaMemcpyAsync(host, here, bytes, cudaMemcpyDeviceToHost, stream()), "download");
  wait();
}

void DeviceBackend::synchronize() {
  check(!reserve_, "cuda: nothing can be waited for while it is recorded");
  wait();
}

void DeviceBackend::wait() {
  check_cuda(cudaMemcpyAsync(bad_id_, &state()->bad_id, sizeof(BadId), cudaMemcpyDeviceToHost, stream()),
             "waiting");
  check_cuda(cudaStreamSynchronize(stream()), "waiting");
  report(*bad_id_);
}

// ---- Recordings ----

// A graph of kernels, which starts as one: small models would else wait for the host to start each.
class DeviceBackend::Graph final : public Recording {
 public:
  Graph(DeviceBackend& backend, cudaGraph_t graph, int reserve) : backend_(backend), reserve_(reserve) {
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    if (status != cudaSuccess) backend_.blocks().drop_reserve(reserve_);
    check_cuda(status, "a recording");
  }
  ~Graph() override {
    cudaStreamSynchronize(stream());
    cudaGraphExecDestroy(graph_);
    backend_.blocks().drop_reserve(reserve_);
  }

  void replay(uint64_t counter_shift) override {
    set_shift(counter_shift);
    check_cuda(cudaGraphLaunch(graph_, stream()), "a recording");
    set_shift(0);
  }

 private:
  void set_shift(uint64_t shift) {
    if (shift == shift_) return;
    backend_.upload(&shift, &backend_.state()->counter_shift, sizeof shift);
    shift_ = shift;
  }

  DeviceBackend& backend_;
  cudaGraphExec_t graph_ = nullptr;
  int reserve_;
  uint64_t shift_ = 0;  // what the device has
};

bool DeviceBackend::start_recording() {
  check(!reserve_, "cuda: a recording is being made already");
  if (!fallbacks().empty()) return false;  // what goes through the host cannot be recorded
  // Relaxed: memory may be asked for while the stream writes down what it is given.
  check_cuda(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "a recording");
  reserve_ = blocks().begin_reserve();
  return true;
}

std::unique_ptr<Recording> DeviceBackend::stop_recording() {
  check(reserve_, "cuda: no recording is being made");
  blocks().end_reserve();
  const int reserve = std::exchange(reserve_, 0);
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(stream(), &graph);
  if (status != cudaSuccess) blocks().drop_reserve(reserve);
  check_cuda(status, "a recording");
  return std::make_unique<Graph>(*this, graph, reserve);
}

}  // namespace chapbook
