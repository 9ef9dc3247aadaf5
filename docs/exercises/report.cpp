// What the programs that check exercises print, in place of doctest's own report: the first test that fails,
// in words for a reader who has not seen it, or how many tests there were.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <sstream>
#include <string>

namespace {

class Report : public doctest::IReporter {
 public:
  explicit Report(const doctest::ContextOptions&) {}

  void test_case_start(const doctest::TestCaseData& test) override { test_ = &test; }
  void test_run_end(const doctest::TestRunStats& stats) override {
    if (stats.numTestCasesFailed == 0) fmt::print("{} tests, all green.\n", stats.numTestCasesPassingFilters);
  }

  void log_assert(const doctest::AssertData& assertion) override {
    if (!assertion.m_failed) return;
    where(assertion.m_file, assertion.m_line);
    fmt::print("  {}\n", assertion.m_expr);
    const std::string exception = assertion.m_exception.c_str(), values = assertion.m_decomp.c_str(),
                      wanted = assertion.m_exception_string.c_str();
    if (!wanted.empty()) fmt::print("must throw the error \"{}\"\n", wanted);
    if (assertion.m_threw)
      fmt::print("throws {}\n", exception);
    else if (assertion.m_at & doctest::assertType::is_throws_with)
      fmt::print("throws nothing\n");
    else if (!values.empty() && values.find("{?}") == std::string::npos)
      fmt::print("does not hold: {}\n", values);
    contexts();
  }
  void log_message(const doctest::MessageData& message) override {
    if (message.m_severity == doctest::assertType::is_warn) return;
    where(test_->m_file.c_str(), static_cast<int>(test_->m_line));  // not that of a helper
    fmt::print("  {}\n", message.m_string.c_str());
    contexts();
  }
  void test_case_exception(const doctest::TestCaseException& exception) override {
    where(test_->m_file.c_str(), static_cast<int>(test_->m_line));
    fmt::print("it {} {}\n", exception.is_crash ? "crashes:" : "throws", exception.error_string.c_str());
    for (int i = 0; i < get_num_stringified_contexts(); ++i)
      fmt::print("with {}\n", get_stringified_contexts()[i].c_str());
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  void where(std::string file, int line) const {
    for (const char* folder : {"/tests/", "/docs/exercises/"})
      if (const size_t at = file.rfind(folder); at != std::string::npos) file.erase(0, at + 1);
    fmt::print("The test \"{}\" fails, in {}, line {}:\n", test_->m_name, file, line);
  }
  static void contexts() {
    for (int i = 0; i < get_num_active_contexts(); ++i) {
      std::ostringstream text;
      get_active_contexts()[i]->stringify(&text);
      fmt::print("with {}\n", text.str());
    }
  }

  const doctest::TestCaseData* test_ = nullptr;
};

}  // namespace

DOCTEST_REGISTER_REPORTER("exercise", 1, Report);
