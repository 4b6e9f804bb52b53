---@meta
--- core.sys: the machine, the process, memory, files, hashes, the state of the random numbers.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.sys
core.sys = {}

-- ---- machine ----

--- How many threads kernels use; given a number, sets it. The environment's MOONLIT_THREADS sets
--- the start. No result depends on it.
---@param n? integer  1 to 64
---@return integer
function core.sys.threads(n) end

--- Which instruction set kernels use; given a name, sets it. The environment's MOONLIT_ISA sets the
--- start. No f32 or f64 result depends on it. Raises where the machine has not got it.
---@param name? "scalar"|"avx2"|"avx512"|"neon"
---@return string
function core.sys.isa(name) end

--- Is this machine made for a model of this dtype? A bf16 tier is emulated, to the same bits, where
--- it is not, and f32 is then faster.
--- > core.sys.native "f32"  --> true
---@param dtype "f32"|"f64"|"bf16"|"bf16-amx"
---@return boolean
function core.sys.native(dtype) end

--- Operations a second that the pool's threads reach together when they do nothing but
--- multiply-adds in registers: what shares of the peak are of. Takes some 50 ms. nil where it is
--- not known: a bf16 tier that is emulated here, no vector instructions.
--- > core.sys.isa() == "scalar" or core.sys.peak() > 1e6  --> true
---@param dtype? "f32"|"bf16"|"bf16-amx"  = "f32": whose instruction
---@return number|nil
function core.sys.peak(dtype) end

--- The processor: its name, how many cores it has, which instruction sets are usable.
--- > core.sys.cpu().isas[1]  --> scalar
---@return {name: string, count: integer, isas: string[]}
function core.sys.cpu() end

--- Seconds since some moment, never going back.
---@return number
function core.sys.clock() end

--- Resident memory of the process, in bytes.
---@return integer
function core.sys.rss() end

--- Ends the threads of the pool; the next parallel kernel starts them again.
function core.sys.rest() end

-- ---- signals ----

--- Begins or ends to note SIGINT and SIGTERM instead of dying of them; a second one ends the
--- process.
---@param catch boolean
function core.sys.signals(catch) end

--- The number of the signal that came, or nil.
--- > core.sys.signal()  --> nil
---@return integer|nil
function core.sys.signal() end

--- Forgets the signal that came.
function core.sys.signal_clear() end

-- ---- processes ----

--- Runs a program and waits for it. No shell reads the arguments; the terminal, the environment and
--- the working directory are this process's. A signal that core.sys.signals notes meanwhile is
--- handed on to it.
--- > core.sys.spawn { "sh", "-c", 'test "$1" = "a b; c"', "sh", "a b; c" }  --> 0, nil
--- > core.sys.spawn({ "sleep", "10" }, 0.1)  --> 137, 9
---@param argv string[]  the program, looked for in PATH, and its arguments
---@param seconds? number  it is killed after them; no limit unless given
---@return integer|nil code  its exit code; 128 + number where a signal ended it
---@return integer|string|nil number  of that signal; the message where it cannot be started
---@return string? code
function core.sys.spawn(argv, seconds) end

--- Copies of this process, at once, each calls fn with its number, 1 to n, and ends; what they
--- change is seen by nobody but in files. An error in one, or a signal that core.sys.signals notes,
--- ends them all.
--- > core.sys.workers(2, function(i) assert(i <= 2) end)  --> true
--- > (select(2, core.sys.workers(2, function(i) error("number " .. i // 3, 0) end)))  --> number 0
---@param n integer
---@param fn function  it must not compute with tensors: a copy has no threads
---@return true|nil
---@return string? message
---@return string? code
function core.sys.workers(n, fn) end

--- Shuts this process in for good, before it runs code that is not trusted: from then on it reads
--- the named files, writes below one directory, and reaches nothing else: no network, no program,
--- no other process, no new machine code, no environment. What it prints goes into a file; every
--- other file that was open is closed. By Landlock and seccomp, so on Linux alone, and before any
--- other thread is started. After an error the process is partly shut in: it should end.
---@param opt {read: string[], write: string, output: string, memory: integer, seconds: integer,
--- file: integer}  read: files, and directories with all below; write: a directory; output: a file
--- that is made here; memory: bytes mapped; seconds: of processor time; file: bytes of a file
---@return true|nil
---@return string? message
---@return string? code
function core.sys.box(opt) end

--- HMAC-SHA256 of a text in hexadecimal, with a key that only this user can read: the file's 32
--- bytes, which are drawn and written where there is no such file.
---@param path string
---@param text string
---@return string|nil
---@return string? message
---@return string? code
function core.sys.mac(path, text) end

--- What a path stands for: absolute, and no link on the way.
--- > core.sys.realpath "/usr/../usr/"  --> /usr
---@param path string
---@return string|nil
---@return string? message
---@return string? code
function core.sys.realpath(path) end

--- Makes a directory that only this user can read, in TMPDIR or /tmp.
---@return string|nil path
---@return string? message
---@return string? code
function core.sys.scratch() end

-- ---- files and hashes ----

--- Makes a directory and those above it; one that exists is fine.
---@param path string
---@return true|nil
---@return string? message
---@return string? code
function core.sys.mkdir(path) end

--- Writes a text to a file, which is replaced whole or not at all, and is on the disk afterwards.
---@param path string
---@param text string
---@return true|nil
---@return string? message
---@return string? code
function core.sys.write(path, text) end

--- Cuts a file back to its first bytes, and is on the disk afterwards.
---@param path string
---@param bytes integer
---@return true|nil
---@return string? message
---@return string? code
function core.sys.truncate(path, bytes) end

--- SHA-256 in hexadecimal of strings and tensors (elements in order, little endian), one after the
--- other; an array stands for its items.
--- > core.sys.sha256("a", "b") == core.sys.sha256 { "ab" }  --> true
---@param ... string|Tensor|(string|Tensor)[]
---@return string
function core.sys.sha256(...) end

--- CRC-32C (Castagnoli, RFC 3720) of bytes; of a longer text piece by piece, each given what came
--- of the one before.
--- > core.sys.crc32c("123456789") == 0xe3069283  --> true
--- > core.sys.crc32c("6789", core.sys.crc32c "12345") == 0xe3069283  --> true
--- > core.sys.crc32c("123456789", 0, true) == 0xe3069283  --> true
---@param bytes string
---@param before? integer  0 at the start
---@param portable? boolean  without the processor's instruction; the same value
---@return integer
function core.sys.crc32c(bytes, before, portable) end

-- ---- memory ----

--- live_bytes, live_blocks, peak_bytes, cached_bytes (freed, kept for reuse) and allocations: of
--- tensors and workspaces, in the process.
---@return table<string, integer>
function core.sys.memory() end

--- What is alive in the process: tensors, nodes (of graphs), live_bytes, live_blocks.
---@return table<string, integer>
function core.sys.stats() end

--- The peak of memory() counts from what is alive now.
function core.sys.reset_peak() end

--- Gives memory that is kept for reuse back to the system.
function core.sys.trim() end

--- Allocations beyond so many live bytes fail, cleanly; for tests and shared machines.
---@param bytes integer  0: no limit
function core.sys.budget(bytes) end

--- The nth allocation from now fails once; for tests.
---@param n integer  0: none
function core.sys.fail_at(n) end

-- ---- random numbers: element i of a draw is a function of (seed, step, index + i) ----

--- Starts this Lua state's random numbers from a seed.
--- > core.sys.seed(7)
--- > core.sys.rng()  --> 7, 0, 0
---@param seed integer
function core.sys.seed(seed) end

--- The same for a step of training, so that step 1000 draws alike with and without a resume.
--- > core.sys.rekey(7, 1000)
--- > core.sys.rng()  --> 7, 1000, 0
---@param seed integer
---@param step integer  0 to 2^32 - 1
function core.sys.rekey(seed, step) end

--- The state: seed, step and next index; given all three, puts them back, and returns what was.
---@param seed? integer
---@param step? integer
---@param index? integer
---@return integer seed
---@return integer step
---@return integer index
function core.sys.rng(seed, step, index) end

--- Takes the next n numbers of the state: their seed, step and first index.
--- > core.sys.rekey(7, 1)
--- > core.sys.draw(4)  --> 7, 1, 0
--- > core.sys.draw(1)  --> 7, 1, 4
---@param n integer
---@return integer seed
---@return integer step
---@return integer index
function core.sys.draw(n) end

--- Four 32-bit integers that are a pure function of the five arguments: Philox 4x32-10 (Salmon et
--- al., SC 2011).
--- > core.sys.random(1, 2, 3, 4, 5) == core.sys.random(1, 2, 3, 4, 5)  --> true
---@param seed integer
---@param stream integer  0 is ml.rand*, 1 dropout, 2 sampling, 3 initialisation
---@param index integer
---@param step integer
---@param site integer
---@return integer
---@return integer
---@return integer
---@return integer
function core.sys.random(seed, stream, index, step, site) end

return core
