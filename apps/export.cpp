// `./chapbook export`: a model for other programs.
#include <fmt/core.h>

#include <filesystem>

#include "apps/command.h"
#include "apps/run/gguf.h"
#include "apps/run/model_directory.h"
#include "nn/adapt.h"
#include "tensor/files.h"

namespace chapbook {
namespace {

struct ExportOptions {
  std::string run, gguf, type = "f16", directory;
};

void export_model(const ExportOptions& options) {
  check(options.gguf.empty() != options.directory.empty(),
        "export: say what to write, --gguf FILE for llama.cpp or --to DIR for transformers");
  Model model = load_model(options.run);
  if (!options.gguf.empty()) {
    write_gguf(model, options.type, options.gguf);
    fmt::print("{}: {} bytes, for llama.cpp\n", options.gguf, std::filesystem::file_size(options.gguf));
    return;
  }
  const bool adapted = has_low_rank(*model.network);
  check(!std::filesystem::exists(options.directory), "'{}' is there already", options.directory);
  merge_low_rank(*model.network);
  write_directory(options.directory, [&](const std::string& fresh) {
    save_model(*model.network, model.tokenizer, fresh, model.ends, model.after_end);
  });
  fmt::print("{}: a model directory{}\n", options.directory, adapted ? ", its ways of low rank merged" : "");
}

}  // namespace

void add_export(CLI::App& program) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App& command =
      *program.add_subcommand("export", "a model for other programs: llama.cpp, transformers");
  command.add_option("RUN", options->run, "a run (its best model), or a model directory")->required();
  CLI::Option* const gguf =
      command.add_option("--gguf", options->gguf, "write this file for llama.cpp, tokenizer and all")
          ->type_name("FILE");
  command.add_option("--type", options->type, "of its matrices: f32, f16, q8_0")
      ->capture_default_str()
      ->needs(gguf);
  command.add_option("--to", options->directory, "write a Hugging Face directory; an adapter is merged")
      ->type_name("DIR");
  command.footer(
      "Examples: ./chapbook export runs/tiny --gguf tiny.gguf --type q8_0\n"
      "          ./chapbook export runs/tuned --to merged");
  command.callback([options] { export_model(*options); });
}

}  // namespace chapbook
