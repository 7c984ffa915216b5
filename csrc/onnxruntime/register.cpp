// What ONNX Runtime calls when it loads the library: session options learn of the operators.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "cross_hadamard.h"
#include "fused_blocks.h"

namespace mmhadaptive::onnxruntime {
namespace {

// An error in the words of a runtime that does not have this API. How an error is made is the first
// thing in the API of every version, and the runtime has that of its own: 1.20.0 has 20.
OrtStatusPtr refuse(const OrtApiBase* runtime) {
  const std::string version = runtime->GetVersionString();
  const size_t dot = version.find('.');
  const char* minor = dot == std::string::npos ? "1" : version.c_str() + dot + 1;
  const OrtApi* api = runtime->GetApi(static_cast<uint32_t>(std::atoi(minor)));
  const std::string message =
      "mmhadaptive's operators were built for ONNX Runtime 1." + std::to_string(ORT_API_VERSION) +
      " or newer, this is " + version +
      ": install a newer one, or build them with the headers of this one (ONNXRUNTIME_INCLUDE_DIR)";
  return api->CreateStatus(ORT_NOT_IMPLEMENTED, message.c_str());
}

// The operators for sessions of so many threads.
struct Operators {
  Operator<CrossHadamard> cross_hadamard;
  Operator<FusedBlocks> fused_blocks;
  Ort::CustomOpDomain domain;

  explicit Operators(int64_t threads)
      : cross_hadamard(threads), fused_blocks(threads), domain("mmhadaptive") {
    domain.Add(&cross_hadamard);
    domain.Add(&fused_blocks);
  }
};

// Sessions refer to them as long as the library is loaded.
const Ort::CustomOpDomain& domain(int64_t threads) {
  static std::mutex mutex;
  static std::map<int64_t, Operators> made;
  const std::lock_guard<std::mutex> lock(mutex);
  return made.try_emplace(threads, threads).first->second.domain;
}

// No kernel is told how many threads its session has, so the options say it where they have this
// entry; else the session is taken to have the machine's.
int64_t threads_of(Ort::ConstSessionOptions options) {
  const std::string entry = options.GetConfigEntryOrDefault("mmhadaptive.threads", "");
  if (entry.empty()) {
    return std::max(1u, std::thread::hardware_concurrency());
  }
  const int64_t threads = std::atoll(entry.c_str());
  check(threads > 0, "the entry mmhadaptive.threads of the session's options must be a number of ",
        "threads, got '", entry, "'");
  return threads;
}

}  // namespace
}  // namespace mmhadaptive::onnxruntime

extern "C" __attribute__((visibility("default"))) OrtStatusPtr ORT_API_CALL
RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* runtime) {
  using namespace mmhadaptive::onnxruntime;
  const OrtApi* api = runtime->GetApi(ORT_API_VERSION);
  if (api == nullptr) {
    return refuse(runtime);
  }
  return status_of([&] {
    Ort::InitApi(api);
    const int64_t threads = threads_of(Ort::ConstSessionOptions(options));
    Ort::UnownedSessionOptions(options).Add(domain(threads));
  });
}
