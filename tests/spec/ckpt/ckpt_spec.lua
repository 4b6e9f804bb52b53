-- tests/golden/ckpt holds files of the safetensors package and of numpy, and their generator
local ckpt = require "moonlit.ckpt"
local kit = require "kit"
local tensor = require "moonlit.tensor"

local golden = "tests/golden/ckpt/"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local s = file:read("a")
  file:close()
  return s
end

local function write(path, s)
  local file = assert(io.open(path, "wb"))
  file:write(s)
  file:close()
end

describe("ckpt", function()
  kit.leakcheck(before_each, after_each)
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function()
    for _, extension in ipairs { "", ".safetensors", ".npy" } do os.remove(path .. extension) end
  end)

  it("reads what the safetensors package wrote", function()
    local t, meta = assert(ckpt.load(golden .. "mixed.safetensors"))
    assert.are.equal("pt", meta.format)
    assert.are.same({ { 0, 0.25, 0.5 }, { 0.75, 1, 1.25 } }, t["b.weight"]:table())
    assert.are.same({ 1.5, -2 }, t["a.weight"]:table())
    assert.are.equal("f16", t.half:dtype())
    assert.are.same({ 1, 2.5, -3 }, t.half:to("f32"):table())
    assert.are.equal("bf16", t.brain:dtype())
    assert.are.same({ { 1 }, { -0.5 } }, t.brain:to("f32"):table())
    assert.are.same({ math.pi }, t.double:table())
    assert.are.same({ { -1, 1 << 62 } }, t.long:table())
    assert.are.same({ 7, -7, (1 << 31) - 1 }, t.int:table())
    assert.are.same({ 0, 127, 255 }, t.byte:table())
    assert.are.same({ true, false, true }, t.flag:table())
    assert.are.equal(42, t.scalar:item())
    assert.are.same({ 0, 4 }, t.empty:shape())
    assert.are.same({ 1 }, t['m\u{f6}nd "1"']:table())
  end)

  it("writes the bytes the safetensors package writes", function()
    local t, meta = assert(ckpt.load(golden .. "mixed.safetensors"))
    assert(ckpt.save(path .. ".safetensors", t, meta))
    assert.are.equal(read(golden .. "mixed.safetensors"), read(path .. ".safetensors"))
  end)

  it("keeps a list in its order", function()
    local x = tensor.zeros(2)
    assert(ckpt.save(path .. ".safetensors", { { name = "z", tensor = x },
                                               { name = "a", tensor = x } }))
    local list = assert(ckpt.list(path .. ".safetensors"))
    assert.are.equal("z", list[1].name)
    assert.are.equal("a", list[2].name)
  end)

  it("reads and writes npy", function()
    local grid = { { 0, 1, 2, 3 }, { 4, 5, 6, 7 }, { 8, 9, 10, 11 } }
    for name, want in pairs { f4 = grid, fortran = grid, i8 = { -1, 1 << 62 }, u1 = { { 0, 255 } },
                              b1 = { true, false } } do
      assert.are.same(want, (assert(ckpt.load(golden .. name .. ".npy"))):table())
    end
    assert.are.equal(1.5, (assert(ckpt.load(golden .. "f2.npy"))):to("f32"):item())
    for _, name in ipairs { "f4", "i8", "u1", "b1", "f2" } do
      assert(ckpt.save(path .. ".npy", (ckpt.load(golden .. name .. ".npy"))))
      assert.are.equal(read(golden .. name .. ".npy"), read(path .. ".npy"))
    end
  end)

  it("answers nil, a message that names the file, and a code", function()
    local function answer(code, part, file)
      local t, message, got = ckpt.load(file)
      assert.is_nil(t)
      assert.matches(file, message, 1, true)
      assert.matches(part, message)
      assert.are.equal(code, got)
    end
    answer("io", "No such file", path .. ".safetensors")
    answer("unsupported", "extension", path .. ".bin")
    answer("unsupported", ">f4", golden .. "big.npy")
    write(path .. ".safetensors", read(golden .. "mixed.safetensors"):sub(1, -2))
    answer("format", "outside the file", path .. ".safetensors")
    write(path .. ".safetensors", read(golden .. "mixed.safetensors") .. "x")
    answer("format", "the file has", path .. ".safetensors")
  end)

  it("leaves the old file alone when writing fails", function()
    local file = path .. ".safetensors"
    assert(ckpt.save(file, { a = tensor.ones(3) }))
    local before = read(file)
    assert.has_error(function()
      ckpt.save(file, { { name = "a", tensor = tensor.ones(3) },
                        { name = "a", tensor = tensor.ones(3) } })
    end)
    assert.are.equal(before, read(file))
    assert.is_nil((ckpt.save("/nowhere/a.safetensors", { a = tensor.ones(1) })))
  end)

  it("raises on a caller's mistake", function()
    local file, x = path .. ".safetensors", tensor.ones(1)
    kit.raises(function() ckpt.save(file, 3) end, "expected a table of tensors")
    kit.raises(function() ckpt.save(file, { a = 3 }) end, "needs a name and a tensor")
    kit.raises(function() ckpt.save(file, { a = x }, { k = print }) end, "metadata must be")
  end)

  it("hashes elements in logical order, as f32", function()
    local x = tensor.tensor({ { 1, 2 }, { 3, 4 } })
    local flat = tensor.tensor({ 1, 3, 2, 4 })
    assert.are.equal(ckpt.hash { flat }, ckpt.hash { { name = "x", tensor = x:t() } })
    assert.are.equal(ckpt.hash { flat }, ckpt.hash { flat:to("f64") })
    -- sha256 of 00 00 80 3f, by sha256sum
    assert.are.equal("e00e5eb9444182f352323374ef4e08ebcb784725fdd4fd612d7730540b3e0c8c",
                     ckpt.hash { tensor.tensor({ 1 }) })
  end)
end)
