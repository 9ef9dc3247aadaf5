// Programs that hold a reader's copy of a source in place of ours.
//
// The linker takes a function from where it finds it first, and from a library only those files of which it
// still needs something. So a program that is linked with the reader's copy and then with our libraries has
// the reader's functions and none of that file of ours.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "docs/tool/shell.h"

namespace chapbook {

// Where CMake puts the object of a source of ours.
std::string object_of(const std::string& source);

// Lets ninja bring these up to date, objects or targets; throws with the first error if it cannot.
void build_targets(const std::vector<std::string>& targets);

// Compiles `file` as we compile `source`, into `object`. Headers are looked for in `overlay` before ours;
// `more` are further options of the compiler.
Ran compile_as(const std::string& source, const std::filesystem::path& file,
               const std::filesystem::path& object, const std::filesystem::path& overlay,
               const std::string& more);

// What programs that check exercises are linked with; no simt, which takes longer to build than all else.
std::vector<std::string> libraries_of_checks();

// Links these objects, then what ninja links `target` with, into `program`.
Ran link_as(const std::string& target, const std::vector<std::string>& objects,
            const std::filesystem::path& program);

// The first error of a compiler or linker with what it shows of the place. Paths begin at the root.
std::string first_error(std::string output);

}  // namespace chapbook
