// What ONNX Runtime calls when it loads the library: session options learn of the operators.
#include <onnxruntime_cxx_api.h>

#include <cstdlib>
#include <string>

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

const Ort::CustomOpDomain& domain() {
  static const Operator<CrossHadamard> cross_hadamard;
  static const Operator<FusedBlocks> fused_blocks;
  static const Ort::CustomOpDomain domain = [] {
    Ort::CustomOpDomain made("mmhadaptive");
    made.Add(&cross_hadamard);
    made.Add(&fused_blocks);
    return made;
  }();
  return domain;
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
    Ort::UnownedSessionOptions(options).Add(domain());
  });
}
