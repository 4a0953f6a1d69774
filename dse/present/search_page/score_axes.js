// Axes of scores: linear, logarithmic, or linear up to 1 and logarithmic beyond ("symlog", for losses that may be 0).

const SYMLOG_LINEAR = 1.5;  // decades that the linear part from 0 to 1 takes, as in the matplotlib plots

/** The scale that a column asks for, where its values allow it. */
function usualScale(column, values) {
  if (column.scale === "log" && values.every(value => value > 0)) return "log";
  if (column.scale === "symlog" && Math.max(...values, 0) > 4) return "symlog";
  return "linear";
}

/** Value -> position on the scale; null where the scale does not have it. */
function scaled(value, scale) {
  if (value === null) return null;
  if (scale === "log") return value > 0 ? Math.log10(value) : null;
  if (scale !== "symlog") return value;
  const size = Math.abs(value);
  return Math.sign(value) * (size <= 1 ? size * SYMLOG_LINEAR : SYMLOG_LINEAR + Math.log10(size));
}

/** [least, greatest] position of the values, with room at both ends; null without any. */
function scaledRange(values, scale, room = 0.06) {
  const known = values.map(value => scaled(value, scale)).filter(value => value !== null);
  if (!known.length) return null;
  const low = Math.min(...known), high = Math.max(...known), pad = (high - low || Math.abs(high) || 1) * room;
  return [low - pad, high + pad];
}

/** Values for ticks within a range of positions: about `count` of 1, 2, 5 times a power of ten, and 0. */
function tickValues([low, high], scale, count = 6) {
  if (scale === "linear") {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(k => k * power).find(size => size >= rough);
    const ticks = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push(Number((k * step).toPrecision(12)));
    return ticks;
  }
  const ticks = scale === "symlog" ? [0, 0.5, -0.5] : [];
  for (let power = scale === "symlog" ? 0 : Math.floor(low); power <= Math.ceil(Math.max(Math.abs(low), Math.abs(high))); power++) {
    for (const digit of high - low < 1.5 ? [1, 2, 3, 5, 7] : high - low < 3 ? [1, 2, 5] : [1]) {
      ticks.push(digit * 10 ** power);
      if (scale === "symlog") ticks.push(-digit * 10 ** power);
    }
  }
  return ticks.filter(value => { const at = scaled(value, scale); return at >= low && at <= high; }).sort((a, b) => a - b);
}

/** A tick's number, short. */
function tickText(value) {
  return Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(4)));
}

/** "energy [fJ]", for the title of an axis. */
function axisTitle(column) {
  return plainLabel(column.unit ? `${column.label} [${column.unit}]` : column.label);
}
