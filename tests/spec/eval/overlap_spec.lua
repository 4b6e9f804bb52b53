-- ROUGE-L and chrF as rouge_score 0.1.2 and sacreBLEU 2.5 (PyPI) give them; replies beside those of
-- conversations.
local ml = require "moonlit"

local cases = { -- text, reference, rougeL F1, chrF
  { "the cat sat on the mat", "a cat sat on a mat today", 0.6153846153846153, 0.41916635288676063 },
  { "Harenu sold plums.", "Harenu sold 16 pears.", 0.5714285714285715, 0.5285746979616845 },
  { "", "abc", 0, 0 },
  { "Kamu zola malura", "Kamu zola maluri.", 0.6666666666666666, 0.8507590837401334 },
  { "völlig anders", "ganz anders völlig", 0.5714285714285715, 0.5486484181258833 },
  { "ab", "ab", 1, 1 },
}

describe("overlap", function()
  it("is that of the tools everybody uses", function()
    for _, c in ipairs(cases) do
      assert.near(c[3], ml.eval.rouge_l(c[1], c[2]), 1e-12)
      assert.near(c[4], ml.eval.chrf(c[1], c[2]), 1e-12)
    end
  end)
end)

describe("replies", function()
  it("asks up to the last user, and scores what comes", function()
    local tok = ml.text.train({ "one two" }, { vocab = 270, special = ml.data.chat.special })
    local chat = ml.data.chat(tok)
    local model = ml.model { preset = "llama", layers = 1, heads = 1, dim = 16, context = 64,
                             vocab = tok:size(), seed = 3 }
    local held = { { messages = { { role = "user", content = "one" },
                                  { role = "assistant", content = "two" } } } }
    local said = ml.converse(model, chat, { { held[1].messages[1] } },
                             { tokens = 8, temperature = 0 })[1].messages[1].content or ""
    local r = ml.eval.replies(model, chat, held, { size = function(text) return #text end },
                              { tokens = 8 })
    assert.are.equal(#said, r.size)
    assert.are.equal(said == "two" and 1 or 0, r.exact)
    assert.are.same({ { prompt = "one", reply = said, answer = "two" } }, r.samples)
    assert.has_error(function() ml.eval.replies(model, chat, {}) end,
                     "eval.replies: no conversations")
  end)
end)
