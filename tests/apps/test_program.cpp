// The commands that need no model, run as their users run them.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "program.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;
namespace fs = std::filesystem;

static size_t lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_CASE("a command line that makes no sense: one line, exit code 2") {
  const struct {
    const char *arguments, *says;
  } cases[] = {
      {"trian", "there is no command \"trian\"; did you mean \"train\"?"},
      {"doctor --bogus", "--bogus"},
      {"tokenizer", "subcommand"},
      {"doctor --threads 0", "--threads is 1 to 1024, not 0"},
      {"doctor --threads many", "--threads"},
      {"doctor --backend gpu", "there are: cpu, reference"},
      {"plan --set layer=3", "did you mean \"layers\"?"},
      {"plan --set layers", "name=value"},
      {"plan --set heads=3", "heads (3) must divide width (128)"},
      {"plan --preset huge", "there are tiny, story, nano, small, medium, large"},
      {"plan --config /nonexistent", "No such file or directory"},
      {"plan --config /", "Is a directory"},
      {"prepare", "--out is required"},
      {"download tinystory", "did you mean \"tinystories\"?"},
      {"download https://127.0.0.1", "it ends in no name"},
      {"tokenizer encode /nonexistent", "/nonexistent"},
      {"plan --set context=1", "setting context cannot be 1; allowed: 2 to 1048576"},
      {"generate x --tokens 0", "--tokens: cannot be 0; allowed: 1 or more, a whole number"},
      {"generate x --tokens 99999999999999999999", "cannot be 99999999999999999999; allowed: 1 or more"},
      {"generate x --count 1.5", "--count: cannot be 1.5"},
      {"generate x --seed -1", "--seed: cannot be -1; allowed: 0 or more"},
      {"generate x --top-k -1", "--top-k: cannot be -1"},
      {"generate x --weights int4", "--weights: int4 not in {f32,bf16,int8}"},
      {"generate x --beams 2 --temperature 0.5", "--temperature excludes --beams"},
      {"generate x --beams 2 --stop .", "--stop excludes --beams"},
      {"generate x --length-penalty 1", "--length-penalty requires --beams"},
      {"xray x --text a --table --out b.html", "--out excludes --table"},
      {"xray x --text a --table --patch 0 --from b", "--patch excludes --table"},
      {"xray x --text a --from b", "--from requires --patch"},
      {"xray x --text a --file b", "--text excludes --file"},
      {"xray x --text a --file b --table", "--text excludes --file"},
      {"export x --to y --type f32", "--type requires --gguf"},
      {"plan --workers 2 --link 1 --counts-only", "--counts-only excludes --link"},
      {"plan --workers 1 --link 1", "--workers 1 is one alone"},
      {"train --check --run x", "--run excludes --check"},
      {"train --find-rate --run x", "--run excludes --find-rate"},
      {"train --data x --mirror y", "--mirror is for a text by its name or address"},
      {"prepare x --out y --cache z", "--cache is for a text by its name or address"},
      {"download --mirror x", "--mirror is for a text by its name or address"},
      {"generate x --after-end no", "--after-end no"},
      {"predict x '' --after-end no", "--after-end no"},
      {"predict x y --top 0", "--top: cannot be 0"},
      {"evaluate x --data y --stride -1", "--stride: cannot be -1"},
      {"evaluate x --data y --batch 70000", "--batch: cannot be 70000; allowed: 1 to 65536"},
      {"train --stories 1", "--stories: cannot be 1"},
      {"train --stories 5 --data x", "--stories"},
      {"train --resume x --preset tiny",
       "--resume goes on with the run's own data and settings; leave out --preset"},
      {"train --resume x --precision f32", "leave out --precision"},
      {"train --resume x --stories 20000", "leave out --stories"},
      {"train --resume x --valid-share 0.1", "leave out --valid-share"},
      {"train --resume x --set steps=3", "leave out --set"},
      {"train --valid-share 1", "--valid-share: cannot be 1; allowed: more than 0, and less than 1"},
      {"prepare http://127.0.0.1:9/x --out y --valid-share 5", "--valid-share: cannot be 5"},
  };
  for (const auto& [arguments, says] : cases) {
    CAPTURE(arguments);
    const auto [code, output] = run_program(arguments);
    CAPTURE(output);
    CHECK(code == 2);
    CHECK(output.starts_with("chapbook: "));
    CHECK(output.find(says) != std::string::npos);
    CHECK(lines(output) == 1);
  }
}

TEST_CASE("every command has its help") {
  const auto [code, output] = run_program("--help");
  CHECK(code == 0);
  CHECK(run_program("").output == output);  // no command at all is a question, too
  for (const char* command :
       {"doctor", "plan", "download", "tokenizer", "tokenizer train", "tokenizer encode", "tokenizer decode",
        "prepare", "train", "evaluate", "generate", "predict", "profile"}) {
    CAPTURE(command);
    CHECK(output.find(std::string("\n  ") + std::string(command).substr(0, std::string(command).find(' '))) !=
          std::string::npos);
    const Outcome help = run_program(std::string(command) + " --help");
    CHECK(help.code == 0);
    CHECK(help.output.find("--threads") != std::string::npos);
    CHECK(help.output.ends_with("\n"));
  }
  CHECK(run_program("train --help").output.find("label_smoothing") != std::string::npos);
}

TEST_CASE("doctor and plan") {
  const Outcome doctor = run_program("doctor --threads 1 --backend reference");
  CHECK(doctor.code == 0);
  CHECK(doctor.output.find("will run    reference: as --backend says") != std::string::npos);
  const Outcome plan = run_program("plan --preset large --set bias=true --counts-only");
  CHECK(plan.code == 0);
  // GPT-2 small has 124,439,808 parameters, of which 1,024 - 512 places of 768 numbers are not here.
  CHECK(plan.output.find("124,046,592") != std::string::npos);
}

TEST_CASE("a tokenizer is learned, and what it encodes decodes to the same bytes") {
  const TemporaryDirectory directory;
  std::string bytes = "Once upon a time, a girl said \"h\xc3\xa9llo\".\n<|endoftext|>\n";
  for (int i = 1; i < 256; ++i) bytes += static_cast<char>(i);
  write_file(directory / "learned.txt", bytes);
  write_file(directory / "text.txt", bytes += '\0');  // which is encoded, but is no text to learn from
  const auto in = [&](const std::string& arguments) {
    return run_program(arguments, "cd " + directory.path + ";");
  };
  CHECK(in("tokenizer train learned.txt --vocabulary 270 --out tokens 2>/dev/null").output ==
        "tokens: 270 tokens\n");
  CHECK(in("tokenizer encode tokens text.txt > ids").code == 0);
  CHECK(in("tokenizer decode tokens ids > again").code == 0);
  CHECK(read_file(directory / "again") == bytes);
  CHECK(in("tokenizer encode tokens - < text.txt | cmp - ids").code == 0);
  write_file(directory / "end", "<|endoftext|>");
  CHECK(in("tokenizer encode tokens end --special").output == "269\n");
  CHECK(in("tokenizer encode tokens end --special --table").output == "  269  \"<|endoftext|>\"\n");
  for (const char* ids : {"1 x", "1 270", "-1", "99999999999", "1.5"}) {
    CAPTURE(ids);
    write_file(directory / "bad", ids);
    const Outcome outcome = in("tokenizer decode tokens bad");
    CHECK(outcome.code == 2);
    CHECK(lines(outcome.output) == 1);
  }
  CHECK(in("tokenizer decode tokens ids > /dev/full").code == 2);
}

// Opening cuda's module takes a GPU's memory and a second. The loader says what it opens.
TEST_CASE("--backend cpu opens no other backend") {
  const TemporaryDirectory directory;
  write_file(directory / "no_module.so", "text");
  const std::string before = "LD_DEBUG=files CHAPBOOK_CUDA_MODULE=" + directory / "no_module.so";
  CHECK(run_program("doctor", before).output.find("file=" + directory / "no_module.so") != std::string::npos);
  for (const std::string& arguments :
       {std::string("plan --preset nano --backend cpu"),
        "profile --preset nano --steps 1 --backend cpu --out " + directory / "profile"}) {
    CAPTURE(arguments);
    const Outcome outcome = run_program(arguments, before);
    CHECK(outcome.code == 0);
    CHECK(outcome.output.find("no_module.so") == std::string::npos);
  }
}

TEST_CASE("a pipe is read once, whatever reads it") {
  const TemporaryDirectory directory;
  std::string stories;
  for (int i = 0; i < 200; ++i) stories += "Story " + std::to_string(i) + " of a cat.\n<|endoftext|>\n";
  write_file(directory / "text.txt", stories);
  const Outcome piped = run_program("prepare pipe --vocabulary 300 --out piped",
                                    "cd " + directory.path + "; mkfifo pipe; cat text.txt > pipe &");
  CHECK_MESSAGE(piped.code == 0, piped.output);
  const Outcome read =
      run_program("prepare text.txt --vocabulary 300 --out read", "cd " + directory.path + ";");
  CHECK_MESSAGE(read.code == 0, read.output);
  for (const char* name : {"/train.bin", "/valid.bin"})
    CHECK(read_file(directory / "piped" + name) == read_file(directory / "read" + name));
}

TEST_CASE("text that cannot be prepared leaves nothing behind") {
  const TemporaryDirectory directory;
  write_file(directory / "one.txt", "a");
  write_file(directory / "empty.txt", "");
  make_directory(directory / "directory");
  for (const char* text : {"one.txt", "empty.txt", "none.txt", "directory"}) {
    CAPTURE(text);
    const Outcome outcome =
        run_program(std::string("prepare ") + text + " --out tokens", "cd " + directory.path + ";");
    CAPTURE(outcome.output);
    CHECK(outcome.code == 2);
    CHECK(outcome.output.find("chapbook: ") != std::string::npos);
    CHECK(!fs::exists(directory / "tokens"));
  }
  const Outcome outcome =
      run_program("prepare one.txt --valid one.txt --out tokens", "cd " + directory.path + ";");
  CHECK(outcome.code == 0);
  CHECK(read_file(directory / "tokens/train.bin").size() == 4);  // the letter and the end of the story
}
