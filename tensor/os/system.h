// What Chapbook asks of the operating system besides files: system.cpp on Linux and other POSIX systems,
// portable_system.cpp where there is nothing but C++.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace chapbook::os {

// Processors that this process may use; 0 where the system does not say.
unsigned processors();
unsigned processors_of_machine();
int64_t process_id();

// Memory aligned to a cache line, and so that large blocks may lie in large pages; null where there is none.
void* allocate(size_t bytes);
void release(void* block) noexcept;

// Of standard error.
bool is_terminal();
int terminal_width();  // 80 where it is none

std::filesystem::path program();  // this program's file; empty where the system does not say

// A shared library's function, which stays; null, with the reason, where it cannot be had.
struct Loaded {
  void* library = nullptr;
  void* function = nullptr;
  std::string reason = {};
};
Loaded load(const std::filesystem::path& library, const char* function);

std::string name();     // of the system, its release and the kind of machine
double memory_bytes();  // that the machine has; 0 where the system does not say

// Of a processor's second and last cache; 0 where the system does not say.
int64_t second_cache_bytes();
int64_t last_cache_bytes();

// Asks for the registers of AMX's tiles, which a process's first use would be ended for otherwise.
bool grants_tiles();

}  // namespace chapbook::os
