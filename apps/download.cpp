// download: fetches a text to train on; without a name, lists those it knows.
#include <fmt/core.h>

#include "apps/command.h"
#include "apps/fetch_options.h"
#include "apps/report/memory.h"
#include "apps/report/nearest.h"
#include "data/text_sets.h"
#include "tensor/check.h"

namespace chapbook {
namespace {

void list_sets() {
  const auto size = [](const RemoteFile& file) {
    if (file.url.empty()) return std::string("none");
    return file.size < 0 ? std::string("not known") : bytes_text(static_cast<double>(file.size));
  };
  for (const TextSet& set : text_sets()) {
    fmt::print("{:<21} {}\n", set.name, set.what);
    fmt::print("  size     {} to train on, validation {}\n", size(set.train), size(set.valid));
    fmt::print("  licence  {}\n", set.licence);
    fmt::print("  from     {}\n", set.page);
  }
}

}  // namespace

void add_download(CLI::App& program) {
  CLI::App& command =
      *program.add_subcommand("download", "fetch a text to train on, or list those there are");
  auto name = std::make_shared<std::string>();
  command.add_option("NAME", *name, "of a set, or the address of a text; without it, the sets are listed");
  const FetchOptionsOf options = add_fetch_options(command);
  command.footer(
      "What is fetched is compared with its known hash, or the server's. A transfer that was broken off, "
      "with\n"
      "Ctrl-C or by itself, goes on where it was. Proxies are taken from https_proxy and no_proxy.\n\n"
      "Examples:\n"
      "  ./chapbook download\n"
      "  ./chapbook download tinystories\n"
      "  ./chapbook download shakespeare --mirror /media/usb\n"
      "  ./chapbook download https://www.gutenberg.org/files/11/11-0.txt");
  command.callback([name, options, &command] {
    if (name->empty()) {
      check_nothing_fetched(command);
      return list_sets();
    }
    if (!is_remote(*name)) {
      std::vector<std::string> names;
      for (const TextSet& set : text_sets()) names.push_back(set.name);
      fail(
          "there is no set \"{}\"; did you mean \"{}\"? `./chapbook download` lists them; an address begins "
          "with "
          "https://",
          *name, nearest(*name, names));
    }
    const FetchedTexts texts = fetch_texts(*name, *options);
    fmt::print("{}\n", texts.train);
    if (!texts.valid.empty()) fmt::print("{}\n", texts.valid);
  });
}

}  // namespace chapbook
