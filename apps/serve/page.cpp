// The page, as the assembler puts the file into the program.
#include <string_view>

namespace chapbook {

asm(".section .rodata\n"
    ".global chapbook_page, chapbook_page_end\n"
    "chapbook_page: .incbin \"" CHAPBOOK_PAGE
    "\"\n"
    "chapbook_page_end:\n"
    ".previous\n");
extern "C" const char chapbook_page[], chapbook_page_end[];

std::string_view page() { return {chapbook_page, static_cast<size_t>(chapbook_page_end - chapbook_page)}; }

}  // namespace chapbook
