// Exercises: what docs/exercises/N.M/exercise.json says of each, and the copy of a source that its reader
// works on. The copy is made from the source itself when an exercise is started, so that it cannot be out of
// date: a hole is a function whose body is taken out, a bug is a change of one line.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace chapbook {

struct Edit {
  std::string from, to;
};

struct Range {
  double low, high;
};

struct Exercise {
  std::string number;  // "9.2": the second of chapter 9
  std::string kind;    // build, gradient, bug hunt, performance, memory: a source to change; number; run
  std::string title, task;
  std::string solution;  // number: how it is counted; run: the command that does it; else the source is

  std::string file;                // what the reader changes, from the root of the repository
  std::string cut;                 // the function whose body is taken out (see source.h); where start.inc
                                   // holds a dear one, that stands in its place,
  std::vector<Edit> changes;       // or the lines that are changed: a bug, or holes
  std::string piece;               // the function that a solution is: what is cut, or what the changes are in
  std::vector<std::string> hides;  // exercises of the same file whose answers the copy is not to hold
  std::vector<std::string> also;   // sources and tests to compile again because they include the file
  std::vector<std::string> tests;
  std::vector<std::string> without;  // beginnings of names of tests in there that ask more than the task
  std::vector<Edit> training;  // for train --mine: functions of ours that stand between a training step and
                               // this one, as FILE#FUNCTION, and the body that calls this one in their place

  std::string unit;                    // of a number
  std::map<std::string, Range> wants;  // of a run: what its results must be

  std::vector<std::string> hints;  // each says more than the one before
  std::string second;  // another right answer or command; of a source, second.inc holds another right piece
  std::vector<Edit> mutants;  // wrong solutions: changes of the source or of the command, or wrong answers
                              // with a word of what the reader is told

  bool of_source() const { return !file.empty(); }
  // The program that trains has this piece in it; those of demos and of the ladder it has not.
  bool is_of_program() const {
    return of_source() && !file.starts_with("docs/") && !file.starts_with("bench/");
  }
  // A right function that takes too much is to be made one that takes less. What it takes is counted.
  bool is_counted() const { return kind == "performance" || kind == "memory"; }
  // The copy that a reader begins with runs, and a test fails.
  bool begins_whole() const { return kind == "bug hunt" || is_counted(); }
};

// All of them, in order. Throws where a description has an unknown or a missing field.
const std::vector<Exercise>& exercises();

// Throws for a number that there is not, with the chapter's or all exercises' numbers.
const Exercise& exercise(const std::string& number);

// Those of "7.1" or of chapter "7".
std::vector<const Exercise*> exercises_of(const std::string& number_or_chapter);

// The text with `from`, which must stand there exactly once, replaced. `where` is for the error.
std::string edited(const std::string& text, const Edit& edit, const std::string& where);

// The exercises whose answers stand in these lines, counted from 1, of a file of ours.
std::vector<const Exercise*> answered_in(const std::string& file, const std::vector<int>& lines);

// `text` with the exercise's function as `copy` has it, and with what the copy needs for that: functions,
// types and includes that `text` has not.
std::string with_piece_of(const std::string& copy, const Exercise& exercise, const std::string& text);

// Our source of an exercise, with holes where it would give away others' answers; the same with its own hole
// or bug, and its task as a comment on top.
std::string source_of(const Exercise& exercise);
std::string stub_of(const Exercise& exercise);

// A right solution that was written differently from ours: the source, the command of a run, or the answer.
std::string second_of(const Exercise& exercise, const std::filesystem::path& directory);

// Where the reader's copies are unless told, and what is there for one exercise.
std::filesystem::path exercises_directory();
std::filesystem::path file_of(const Exercise& exercise, const std::filesystem::path& directory);

// The copy that is kept of a solution that has passed, and whether there is one.
std::filesystem::path passed_file(const Exercise& exercise, const std::filesystem::path& directory);
bool passed(const Exercise& exercise, const std::filesystem::path& directory);

// As shown to the reader: from the root of the repository, where it is inside.
std::string shown(const std::filesystem::path& path);

// Our command line of a run, after ./chapbook.
std::string run_command(const Exercise& exercise, const std::filesystem::path& directory);

// Text in lines of at most `width`, each after `before`; the task, in which a run's directory is named.
std::string wrapped(const std::string& text, const std::string& before, size_t width = 100);
std::string task_text(const Exercise& exercise, const std::filesystem::path& directory,
                      const std::string& before);

}  // namespace chapbook
