// The server over its socket: what it answers to what OpenAI's clients send, what it refuses, and that
// nothing a client does harms it or another client.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <numeric>

#include "apps/run/model_directory.h"
#include "apps/serve/page.h"
#include "program.h"
#include "served.h"
#include "tensor/files.h"
#include "tests/support/temporary_directory.h"

using namespace chapbook;

TEST_CASE("serve: the page, the models, and nothing of the disk") {
  Served served;
  const int port = served.port;
  const auto page = httplib::Client("127.0.0.1", port).Get("/");
  REQUIRE(page);
  CHECK(page->status == 200);
  // The file, with what it shares in its places.
  std::string file = read_file(std::string(CHAPBOOK_SOURCE_DIR) + "/apps/serve/page.html");
  for (const char* name : {"icon.txt", "book.css", "xray.css", "xray.js"})
    file = put(file, name, read_file(std::string(CHAPBOOK_SOURCE_DIR) + "/apps/serve/" + name));
  CHECK(page->body == file);
  CHECK(page->get_header_value("Content-Security-Policy").starts_with("default-src 'none'"));
  CHECK(page->get_header_value("X-Content-Type-Options") == "nosniff");
  const Json models = get(port, "/v1/models").json();
  CHECK(models["object"] == "list");
  CHECK(models["data"][0]["id"] == "lively");
  CHECK(models["data"][1]["chapbook"]["context"] == 32);
  CHECK(get(port, "/v1/models/lively").json() == models["data"][0]);
  const Json tokens = get(port, "/chapbook/tokens?model=lively").json()["tokens"];
  CHECK(tokens.size() == 400);
  CHECK(tokens[1] == "\"");
  CHECK(tokens[150].get<std::string>().starts_with("bytes:\\x"));
  for (const char* path :
       {"/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/etc/passwd", "/page.html", "/v1",
        "/v1/models/../../etc/passwd", "/v1/models/none", "/chapbook/tokens?model=none"}) {
    CAPTURE(path);
    const Response response = get(port, path);
    CHECK(response.status == 404);
    CHECK(response.json()["error"]["type"] == "invalid_request_error");
  }
  const Json scores =
      post(port, R"({"model": "lively", "prompt": [3, 5, 7]})", "/chapbook/scores").json()["scores"];
  const Model model = lively_model();
  const auto logits = (*model.network)(Tensor::from(std::vector<int32_t>{3, 5, 7}, {1, 3}))
                          .value()
                          .select(1, 2)
                          .to_vector<float>();
  REQUIRE(scores.size() == 400);
  for (int i = 0; i < 400; ++i)
    CHECK(std::abs(scores[i].get<double>() - logits[i]) <= 1e-4);  // f32, other products
}

TEST_CASE("serve: a completion is what the model tells") {
  Served served;
  const int port = served.port;
  const Model model = lively_model();
  const auto told = [&](const Sampling& s, std::string_view prompt = "Once upon a time") {
    return Json::parse(Json(tell(*model.network, model.tokenizer, prompt, s))
                           .dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  const auto asked = [&](const std::string& more) {
    const Response response = post(port, "{" + story + more + "}");
    CAPTURE(response.body);
    CHECK(response.status == 200);
    return response.json();
  };
  const Json one = asked(R"("max_tokens": 30)");
  CHECK(one["object"] == "text_completion");
  CHECK(one["model"] == "lively");
  CHECK(one["choices"].size() == 1);
  CHECK(one["choices"][0]["logprobs"].is_null());
  CHECK(one["choices"][0]["text"] == told({.temperature = 1, .top_p = 1, .seed = 5, .tokens = 30}));
  CHECK(one["usage"]["prompt_tokens"] == prompt_ids(model.tokenizer, "Once upon a time").size());
  CHECK(one["usage"]["completion_tokens"] == 30);
  CHECK(one["choices"][0]["finish_reason"] == "length");

  const Json cut = asked(
      R"("max_tokens": 40, "temperature": 0.7, "top_p": 0.8, "top_k": 30, "min_p": 0.01, "repetition_penalty": 1.1,
      "presence_penalty": 0.5, "frequency_penalty": -0.5, "logit_bias": {"40": 5, "50": -100}, "user": "me", "logprobs": null)");
  CHECK(cut["choices"][0]["text"] == told({.temperature = 0.7,
                                           .top_k = 30,
                                           .top_p = 0.8,
                                           .min_p = 0.01,
                                           .repetition_penalty = 1.1,
                                           .presence_penalty = 0.5,
                                           .frequency_penalty = -0.5,
                                           .logit_bias = {{40, 5}, {50, -100}},
                                           .seed = 5,
                                           .tokens = 40}));
  // Seeds count up over texts; of several prompts, too.
  const Json three = asked(R"("max_tokens": 20, "n": 3)");
  for (uint64_t i = 0; i < 3; ++i) {
    CHECK(three["choices"][i]["index"] == i);
    CHECK(three["choices"][i]["text"] == told({.temperature = 1, .top_p = 1, .seed = 5 + i, .tokens = 20}));
  }
  const Json two =
      post(port, R"({"model": "lively", "prompt": ["The", "A dog"], "seed": 1, "max_tokens": 20})").json();
  CHECK(two["choices"][0]["text"] == told({.temperature = 1, .top_p = 1, .seed = 1, .tokens = 20}, "The"));
  CHECK(two["choices"][1]["text"] == told({.temperature = 1, .top_p = 1, .seed = 2, .tokens = 20}, "A dog"));
  // Greedy takes no seed; tokens are taken as they are.
  Json by_ids = {{"model", "lively"},
                 {"prompt", prompt_ids(model.tokenizer, "The")},
                 {"temperature", 0},
                 {"max_tokens", 20}};
  CHECK(post(port, by_ids.dump()).json()["choices"][0]["text"] ==
        told({.temperature = 0, .tokens = 20}, "The"));
  // A text to stop at.
  const std::string whole = one["choices"][0]["text"];
  const std::string letter = whole.substr(whole.find_first_of("abcdefghijklmnopqrstuvwxyz", 8), 1);
  const Json stopped = asked(R"("max_tokens": 30, "stop": ["never", ")" + letter + R"("])");
  CHECK(stopped["choices"][0]["finish_reason"] == "stop");
  CHECK(stopped["choices"][0]["text"] == whole.substr(0, whole.find(letter)));
}

TEST_CASE("serve: a GPT-2 of somebody else's tells what it tells in transformers, several prompts at once") {
  const std::string path = std::string(CHAPBOOK_SOURCE_DIR) + "/tests/golden/greedy";
  std::vector<ServedModel> models;
  models.push_back({"theirs", load_model(path)});
  Served served({}, std::move(models));
  const Json golden = Json::parse(read_file(path + "/golden.json"));
  Json request = {{"model", "theirs"}, {"temperature", 0}, {"max_tokens", 200}};
  for (const Json& text : golden) request["prompt"].push_back(text["prompt"]);
  const Json told = post(served.port, request.dump()).json()["choices"];
  REQUIRE(told.size() == golden.size());
  for (size_t i = 0; i < golden.size(); ++i) CHECK(told[i]["text"] == golden[i]["text"]);
}

TEST_CASE("serve: log-probabilities, echo and best_of") {
  Served served;
  const int port = served.port;
  const Model model = lively_model();
  const Json echoed =
      post(port, "{" + story + R"("max_tokens": 8, "echo": true, "logprobs": 3})").json()["choices"][0];
  const Json& p = echoed["logprobs"];
  const std::vector<int32_t> prompt = prompt_ids(model.tokenizer, "Once upon a time");
  CHECK(echoed["text"].get<std::string>().starts_with("Once upon a time"));
  REQUIRE(p["tokens"].size() == prompt.size() - 1 + 8);  // the end of the story before is not of the prompt
  std::vector<int32_t> ids = p["token_ids"].get<std::vector<int32_t>>();
  ids.insert(ids.begin(), prompt[0]);
  const int64_t rows = static_cast<int64_t>(ids.size());
  const auto logits = (*model.network)(Tensor::from(ids, {1, rows})).value().to_vector<float>();
  for (int64_t i = 1; i < rows; ++i) {
    const LogProbabilities expected{std::span(logits).subspan((i - 1) * 400, 400)};
    CHECK(std::abs(p["token_logprobs"][i - 1].get<double>() - expected(ids[i])) <= 1e-4);
    CHECK(p["top_ids"][i - 1].size() == 3);
    CHECK(p["top_ids"][i - 1][0][0] == expected.likeliest(1)[0].id);
    CHECK(p["text_offset"][i - 1].get<size_t>() <= echoed["text"].get<std::string>().size());
  }
  CHECK(p["text_offset"][0] == 0);
  // Scoring alone, as evaluation programs do; of token ids the first has nothing before it.
  const Json scored =
      post(port, R"({"model": "lively", "prompt": [3, 5, 7], "max_tokens": 0, "echo": true, "logprobs": 0})")
          .json()["choices"][0];
  CHECK(scored["logprobs"]["token_logprobs"].size() == 3);
  CHECK(scored["logprobs"]["token_logprobs"][0].is_null());
  CHECK(scored["finish_reason"] == "length");
  // Nothing comes after the byte that begins a character: it is shown as what it is, no character.
  const int32_t begun = model.tokenizer.encode("\u4f60", SpecialTokens::as_text).front();
  REQUIRE(model.tokenizer.token_bytes(begun).size() == 1);
  const Json byte = {{"model", "lively"}, {"prompt", {begun}}, {"max_tokens", 0}, {"echo", true}};
  CHECK(post(port, byte.dump()).json()["choices"][0]["text"] == "\ufffd");
  // The best of eight is one of the eight, and none of them is likelier.
  const Json eight =
      post(port, "{" + story + R"("max_tokens": 10, "n": 8, "logprobs": 0})").json()["choices"];
  const Json best =
      post(port, "{" + story + R"("max_tokens": 10, "best_of": 8, "logprobs": 0})").json()["choices"];
  REQUIRE(best.size() == 1);
  const auto mean = [](const Json& choice) {
    double sum = 0;
    for (const Json& value : choice["logprobs"]["token_logprobs"]) sum += value.get<double>();
    return sum / static_cast<double>(choice["logprobs"]["token_logprobs"].size());
  };
  bool among = false;
  for (const Json& choice : eight) {
    CHECK(mean(choice) <= mean(best[0]));
    among |= choice["text"] == best[0]["text"];
  }
  CHECK(among);
}

TEST_CASE("serve: a stream is the same text in pieces") {
  Served served;
  for (const char* more :
       {R"("max_tokens": 25)", R"("max_tokens": 25, "n": 3, "logprobs": 2)",
        R"("max_tokens": 5, "echo": true)", R"("max_tokens": 0)", R"("max_tokens": 40, "stop": "e")"}) {
    CAPTURE(more);
    const Json whole = post(served.port, "{" + story + more + "}").json();
    const Response response = post(
        served.port, "{" + story + more + R"(, "stream": true, "stream_options": {"include_usage": true}})");
    CHECK(response.status == 200);
    std::vector<std::string> all = events(response.body);
    REQUIRE(all.size() >= 3);
    CHECK(all.back() == "[DONE]");
    const Json last = Json::parse(all[all.size() - 2]);
    CHECK(last["choices"].empty());
    CHECK(last["usage"] == whole["usage"]);
    std::vector<std::string> texts(whole["choices"].size());
    std::vector<Json> reasons(texts.size());
    for (size_t i = 0; i + 2 < all.size(); ++i) {
      const Json piece = Json::parse(all[i]);
      const Json& choice = piece["choices"][0];
      CHECK(piece["id"] == Json::parse(all[0])["id"]);
      texts[choice["index"].get<size_t>()] += choice["text"].get<std::string>();
      if (!choice["finish_reason"].is_null())
        reasons[choice["index"].get<size_t>()] = choice["finish_reason"];
    }
    for (size_t i = 0; i < texts.size(); ++i) {
      CHECK(texts[i] == whole["choices"][i]["text"].get<std::string>());
      CHECK(reasons[i] == whole["choices"][i]["finish_reason"]);
    }
  }
}

TEST_CASE("serve: what is wrong is refused by name") {
  Served served;
  const struct {
    const char *body, *says;
    int status = 400;
  } cases[] = {
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"[]", "not a JSON object"},
      {"{}", "'model'"},
      {R"({"model": "none"})", "does not exist", 404},
      {R"({"model": "lively", "tempreature": 1})", "unknown parameter 'tempreature'"},
      {R"({"model": "lively", "temperature": 3})", "'temperature' must be a number from 0 to 2"},
      {R"({"model": "lively", "temperature": "hot"})", "'temperature'"},
      {R"({"model": "lively", "max_tokens": -1})", "'max_tokens'"},
      {R"({"model": "lively", "max_tokens": 1e300})", "'max_tokens'"},
      {R"({"model": "lively", "max_tokens": 5000})", "0 to 4096"},
      {R"({"model": "lively", "n": 0})", "'n'"},
      {R"({"model": "lively", "n": 65})", "65 texts"},
      {R"({"model": "lively", "n": 2, "best_of": 1})", "'best_of'"},
      {R"({"model": "lively", "best_of": 2, "stream": true})", "'best_of'"},
      {R"({"model": "lively", "stop": ["a", "b", "c", "d", "e"]})", "'stop'"},
      {R"({"model": "lively", "stop": ""})", "'stop'"},
      {R"({"model": "lively", "logit_bias": {"x": 1}})", "'logit_bias'"},
      {R"({"model": "lively", "logit_bias": {"400": 1}})", "0 to 399"},
      {R"({"model": "lively", "logit_bias": {"4": 101}})", "-100 to 100"},
      {R"({"model": "lively", "prompt": [400]})", "0 to 399"},
      {R"({"model": "lively", "prompt": [-1]})", "0 to 399"},
      {R"({"model": "lively", "prompt": [[]]})", "empty"},
      {R"({"model": "lively", "prompt": {}})", "'prompt'"},
      {R"({"model": "lively", "prompt": [1, "a"]})", "token id"},
      {R"({"model": "lively", "suffix": "x"})", "'suffix'"},
      {R"({"model": "lively", "stream": 1})", "'stream'"},
      {R"({"model": "lively", "stream_options": {}})", "'stream_options' is only for"},
      {R"({"model": "lively", "stream": true, "stream_options": 1})", "'stream_options' must be an object"},
      {R"({"model": "lively", "logit_bias": {" 4": 1}})", "0 to 399"},
      {R"({"model": "lively", "logit_bias": {"+4": 1}})", "0 to 399"},
      {R"({"model": "lively", "logit_bias": {"": 1}})", "0 to 399"},
      {R"({"model": "lively", "logprobs": 21})", "'logprobs'"},
      {R"({"model": "lively", "seed": 1e30})", "'seed'"},
  };
  for (const auto& [body, says, status] : cases) {
    CAPTURE(body);
    const Response response = post(served.port, body);
    CAPTURE(response.body);
    CHECK(response.status == status);
    const Json error = response.json()["error"];
    CHECK(error["message"].get<std::string>().find(says) != std::string::npos);
    CHECK(error["type"] == "invalid_request_error");
    CHECK(error.contains("param"));
    CHECK(error.contains("code"));
  }
  const Json ids = std::vector<int>(64, 1);
  const Response longer = post(served.port, Json{{"model", "lively"}, {"prompt", ids}}.dump());
  CHECK(longer.status == 400);
  CHECK(longer.json()["error"]["code"] == "context_length_exceeded");
  // Depth that would take all of the stack, and letters that are none.
  CHECK(post(served.port, std::string(500000, '[')).status == 400);
  CHECK(post(served.port, "{\"model\": \"lively\", \"prompt\": \"\xff\xfe\"}").status == 400);
  CHECK(post(served.port, "{\"\xff\": 1}").status == 400);
  CHECK(post(served.port, "{" + story + R"("max_tokens": 2})").status == 200);
}

static std::vector<uint16_t> from_base64(const std::string& text) {
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<uint16_t> numbers;
  uint32_t bits = 0, count = 0, bytes = 0;
  for (const char letter : text) {
    if (letter == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(letters.find(letter)), count += 6;
    if (count < 8) continue;
    const auto byte = static_cast<uint16_t>(bits >> (count -= 8) & 255);
    if (bytes++ % 2 == 0)
      numbers.push_back(byte);
    else
      numbers.back() |= static_cast<uint16_t>(byte << 8);
  }
  return numbers;
}

TEST_CASE("serve: the x-ray, and what is wrong with asking for it") {
  Served served;
  const std::string text = R"({"model": "lively", "prompt": [0, 9, 20, 31, 42])", path = "/chapbook/xray";
  const auto ask = [&](const std::string& more) { return post(served.port, text + more + "}", path); };
  const Response whole = ask("");
  REQUIRE(whole.status == 200);
  CHECK(whole.json()["ids"] == Json({0, 9, 20, 31, 42}));
  CHECK(whole.json()["lens"].size() == 3);
  CHECK(!whole.json().contains("before"));
  // Attention's weights, as base64 of 16 bits each: a row has one for each place up to its own, in all 1.
  const Json seen = whole.json();
  CHECK(seen["attention"].size() == 2);
  for (const Json& layer : seen["attention"]) {
    const std::vector<uint16_t> weights = from_base64(layer.get<std::string>());
    const size_t heads = seen["heads"], T = 5;
    REQUIRE(weights.size() == heads * T * (T + 1) / 2);
    for (size_t row = 0, at = 0; row < heads * T; at += row % T + 1, ++row)
      CHECK(std::abs(std::accumulate(&weights[at], &weights[at + row % T + 1], 0) - 65535) <= 5);
  }
  // Switched off, and as it was when nobody asks for that any more.
  const Response off = ask(R"(, "off": ["1.0"])");
  REQUIRE(off.status == 200);
  CHECK(off.json()["off"] == Json({"1.0"}));
  CHECK(off.json()["loss"] != whole.json()["loss"]);
  CHECK(off.json()["before"]["loss"] == whole.json()["loss"]);
  CHECK(ask("").body == whole.body);
  const Response back = ask(R"(, "back": 3)");
  REQUIRE(back.status == 200);
  CHECK(back.json()["shares"].size() == 3);
  CHECK(back.json()["gradients"].size() == whole.json()["graph"].size());
  CHECK(ask(R"(, "patch": ["0"], "from": "Once upon a time there was a fox")").status == 200);
  CHECK(ask(R"(, "off": ["1.0"], "patch": [], "from": "")").body == off.body);  // as the page asks
  for (const auto& [more, name, says] : std::vector<std::array<std::string, 3>>{
           {R"(, "off": "1.0")", "off", "a list"},
           {R"(, "off": [1])", "off", "a list of texts"},
           {R"(, "off": ["9"])", "off", "its layers are 0 to 1"},
           {R"(, "off": ["0@5"])", "off", "places 0 to 4"},
           {R"(, "patch": ["1.0@5"], "from": "Once upon a time there was a fox")", "patch", "places 0 to 4"},
           {R"(, "max_tokens": 3)", "max_tokens", "unknown"},
           {R"(, "off": ["1.mlp.99999999999999999999"])", "off", "neurons"},
           {R"(, "patch": ["0"], "from": "a")", "from", "as many as the other"},
           {R"(, "patch": ["0"], "from": 1)", "from", "a text"},
           {R"(, "from": "Once upon a time there was a fox")", "from", "for 'patch'"},
           {R"(, "patch": [], "from": "Once upon a time there was a fox")", "from", "for 'patch'"},
           {R"(, "back": 0)", "back", "1 to 4"},
           {R"(, "back": 5)", "back", "1 to 4"},
           {R"(, "back": 1.5)", "back", "1 to 4"},
           {R"(, "sideways": 1)", "sideways", "unknown"}}) {
    CAPTURE(more);
    const Response refused = ask(more);
    CHECK(refused.status == 400);
    CHECK(refused.json()["error"]["param"] == name);
    CHECK(refused.json()["error"]["message"].get<std::string>().find(says) != std::string::npos);
  }
  for (const char* body : {"[]", "null", "1", R"({"model": "lively", "prompt": ["a", "b"]})"})
    CHECK(post(served.port, body, path).status == 400);
  // Others are told the same while one looks inside.
  CHECK(post(served.port, "{" + story + R"("max_tokens": 4})").status == 200);
}

TEST_CASE("serve: scores are of one text, and of nothing else") {
  Served served;
  const auto ask = [&](const std::string& more) {
    return post(served.port, R"({"model": "lively", "prompt": )" + more + "}", "/chapbook/scores");
  };
  const Response fine = ask("[3, 5, 7]");
  CHECK(fine.status == 200);
  CHECK(fine.json()["scores"].size() == 400);
  for (const auto& [more, name] :
       std::vector<std::array<std::string, 2>>{{"[[3, 5], [7]]", "prompt"},
                                               {R"(["a", "b"])", "prompt"},
                                               {R"("a", "temperature": 0.5)", "temperature"}}) {
    CAPTURE(more);
    const Response refused = ask(more);
    CHECK(refused.status == 400);
    CHECK(refused.json()["error"]["param"] == name);
  }
}

TEST_CASE("serve: weights that are no numbers are said to be broken, whatever is asked") {
  Model broken = lively_model();
  for (const auto& [name, tensor] : state(*broken.network))
    if (name.ends_with("ln_f.weight"))
      broken.network->backend().copy((tensor * std::nan("")).view(), tensor.view());
  std::vector<ServedModel> models;
  models.push_back({"lively", std::move(broken)});
  Served served({}, std::move(models));
  const std::string text = R"({"model": "lively", "prompt": [0, 9, 20, 31])";
  for (const auto& [path, more] :
       std::vector<std::array<std::string, 2>>{{"/v1/completions", ""},
                                               {"/chapbook/scores", ""},
                                               {"/chapbook/xray", ""},
                                               {"/chapbook/xray", R"(, "back": 2)"}}) {
    CAPTURE(path);
    CAPTURE(more);
    const Response response = post(served.port, text + more + "}", path);
    CHECK(response.status == 503);
    const std::string message = response.json()["error"]["message"];
    CHECK(message.ends_with("its weights are broken"));
    CHECK(message.find('\n') == message.npos);
  }
}

TEST_CASE("serve: what others wrote is shown on one line, cut between two characters") {
  Served served;
  const int port = served.port;
  std::string name, begin;
  for (int i = 0; i < 40; ++i) name += "\u4f60";
  for (int i = 0; i < 26; ++i) begin += "\\u4f60";  // 78 bytes of the name
  const auto message = [](const Response& response) {
    return response.json()["error"]["message"].get<std::string>();
  };
  const auto ask = [&](const std::string& path, Json body) { return post(port, body.dump(), path); };
  const std::string shown = "'" + begin + "...'", path = "/v1/models/" + name;
  CHECK(message(ask("/v1/completions", {{"model", name}})).starts_with("the model " + shown));
  CHECK(message(get(port, path)) == "the model " + shown + " does not exist");
  CHECK(message(get(port, "/" + name)).starts_with("there is no /\\u4f60"));
  CHECK(message(get(port, "/" + name)).ends_with("\\u4f60..."));
  CHECK(message(get(port, "/", {{"Host", name}})) ==
        fmt::format("this server is not {}; `--name {}...` would make it so", shown, begin));
  const Response unknown = ask("/v1/completions", {{"model", "lively"}, {name, 1}});
  CHECK(message(unknown) == "unknown parameter " + shown);
  CHECK(unknown.json()["error"]["param"] == begin + "...");
  const auto part = [&](const std::string& text) {
    return message(ask("/chapbook/xray", {{"model", "lively"}, {"prompt", {3, 5}}, {"off", {text}}}));
  };
  CHECK(part(name).starts_with(shown + " is no part"));
  CHECK(part("0" + name).ends_with("what does " + shown + " mean?"));
  CHECK(part("a\n\"\x7f") == R"('a\n\"\u007f' is no part of this model: a part is LAYER, LAYER.attention, )"
                             R"(LAYER.mlp, LAYER.HEAD or LAYER.mlp.NEURON, with @PLACE for one token)");
}

TEST_CASE("serve: no text is longer than its limit, also where nobody says how long it is to be") {
  ServeLimits limits;
  limits.completion.tokens = 8;
  Served served(limits);
  const std::string no_end = R"("logit_bias": {"399": -100})";
  CHECK(post(served.port, "{" + story + no_end + "}").json()["usage"]["completion_tokens"] == 8);
}

TEST_CASE("serve: the x-ray of a long text, up to the attention weights that one may hold") {
  std::vector<ServedModel> models;
  models.push_back(
      {"many heads",
       lively_model({.layers = 4, .heads = 32, .width = 64, .context = 600, .vocabulary = 400})});
  Served served({}, std::move(models));
  const auto ask = [&](int tokens) {
    const Json body = {{"model", "many heads"}, {"prompt", std::vector<int>(tokens, 7)}};
    return post(served.port, body.dump(), "/chapbook/xray");
  };
  const Response longest = ask(559);  // 128 heads of 559 * 559 weights: just below 40 million
  CHECK(longest.status == 200);
  CHECK(longest.json()["kept"] == 16);
  const Response more = ask(560);
  CHECK(more.status == 400);
  CHECK(more.json()["error"]["param"] == "prompt");
  CHECK(more.json()["error"]["message"].get<std::string>().find("takes up to 559 here") != std::string::npos);
}

TEST_CASE("serve: with no place to wait, whoever comes second is told so") {
  ServeLimits limits;
  limits.engine.together = 1, limits.engine.waiting = 1;
  Served small(limits);
  std::atomic<int> told_so = 0;
  std::vector<std::thread> more;
  for (int c = 0; c < 8; ++c)
    more.emplace_back([&] {
      const Response response = post(small.port, "{" + story + R"("max_tokens": 300})");
      if (response.status == 429) {
        ++told_so;
        CHECK(response.json()["error"]["code"] == "rate_limit_exceeded");
      } else {
        CHECK(response.status == 200);
      }
    });
  for (std::thread& client : more) client.join();
  CHECK(told_so > 0);
}

TEST_CASE("serve: a request that takes too long is told so, and one that is open when the server ends") {
  ServeLimits limits;
  limits.engine.seconds = 0.2;
  limits.completion.tokens = 1 << 20;
  {
    Served served(limits);
    const Response late =
        post(served.port, "{" + story + R"("max_tokens": 1000000, "logit_bias": {"0": -100, "399": -100}})");
    CHECK(late.status == 503);
    CHECK(late.json()["error"]["message"].get<std::string>().find("0.2 seconds") != std::string::npos);
  }
  limits.engine.seconds = 1000;
  Response open;
  std::thread client;
  {
    Served served(limits);
    client = std::thread([&, port = served.port] {
      open = post(port, "{" + story + R"("max_tokens": 1000000, "logit_bias": {"399": -100}})");
    });
    ::usleep(300000);
  }
  client.join();
  CHECK((open.status == -1 || open.status == 503));
}

TEST_CASE("serve: the program, from start to Ctrl-C") {
  const TemporaryDirectory directory;
  {
    Model model = lively_model();
    save_model(*model.network, model.tokenizer, directory.path);
  }
  CHECK(run_program("serve " + directory.path + "/none").code == 2);
  CHECK(run_program(fmt::format("serve {0} {0} {0}", directory.path))
            .output.find("two models would be called") != std::string::npos);
  const Outcome full = run_program("serve " + directory.path + " --port 0 >/dev/full");
  CHECK(full.code == 2);
  CHECK(full.output.starts_with("chapbook: "));
  CHECK(std::ranges::count(full.output, '\n') == 1);
  CHECK(run_program("serve " + directory.path + " --max-seconds 99999999999").code == 2);
  ServedProgram program(directory.path, {directory.path});
  const int port = program.port();
  const std::string name = directory.path.substr(directory.path.rfind('/') + 1);
  CHECK(get(port, "/v1/models").json()["data"][0]["id"] == name);
  CHECK(get(port, "/v1/models/%2F" + directory.path.substr(1)).json()["id"] == directory.path);
  CHECK(run_program(fmt::format("serve {} --port {}", directory.path, port)).output.find("cannot listen") !=
        std::string::npos);
  const Response told = post(port, Json{{"model", name}, {"prompt", "The"}, {"max_tokens", 5}}.dump());
  CHECK(told.status == 200);
  CHECK(program.end() == 0);
}
