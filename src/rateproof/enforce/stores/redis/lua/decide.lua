-- Returns numbers in a line, which is read faster than an array: 1 if it passes, 0 if not, then for
-- each quota how many admissions are left, and how long until the same cost passes and until all
-- are free.

-- A key's time never goes back, even if the clock does: what was decided stays decided.
local now = read
local judges, takes = {}, {}
for i, key in ipairs(KEYS) do
  local open = algorithms[ARGV[4 * i - 1]]
  local newest
  newest, judges[i], takes[i] =
    open(key, tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1]), tonumber(ARGV[4 * i + 2]))
  if newest > now then now = newest end
end

local passes, answers = 1, {}
for i, judge in ipairs(judges) do
  local free, cost_at, all_at = judge(now)
  if free < cost then passes = 0 end
  answers[3 * i - 2] = math.max(0, free)
  answers[3 * i - 1] = math.max(0, cost_at - read)
  answers[3 * i] = math.max(0, all_at - read)
end

if passes == 1 and ARGV[1] == "hit" then
  for i, take in ipairs(takes) do
    answers[3 * i - 2] = answers[3 * i - 2] - cost
    answers[3 * i] = take(now) - read
  end
end
for i, figure in ipairs(answers) do
  -- A small number is written much faster as an integer, which has 32 bits in some builds.
  answers[i] = string.format(figure < 2^31 and "%d" or "%.0f", figure)
end
return {ok = passes .. " " .. table.concat(answers, " ")}
