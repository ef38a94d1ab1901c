// SPDX-License-Identifier: Apache-2.0
// A chart over time on ECharts' canvas, loaded when the first one is shown. All charts of a page share one cursor and one zoom.
import { useEffect, useRef } from 'react'
import { useTheme, token } from '../../theme/theme'
import { axisTime, time } from '../format'

export interface Line { name: string; values: [number, number | null][] }

/** Lines of the grid at powers of two, four or five of them: sizes are counted so. */
function step(lines: Line[], max: number | undefined): number | undefined {
  const top = max ?? Math.max(0, ...lines.flatMap((line) => line.values.map(([, v]) => v ?? 0)))
  return top > 0 ? 2 ** Math.ceil(Math.log2(top / 5)) : undefined
}

const DASHES = ['solid', 'dashed', 'dotted', [8, 3, 2, 3], [2, 2], [12, 4], [6, 2], [4, 6]]

export function LineChart({ title, lines, format, max, binary }: { title: string; lines: Line[]; format: (v: number) => string; max?: number; binary?: boolean }) {
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<any>(null)
  const theme = useTheme()
  const latest = useRef({ lines, max, binary })
  latest.current = { lines, max, binary }

  useEffect(() => {
    let gone = false
    let seen: ResizeObserver | undefined
    void import('./echarts').then(({ echarts }) => {
      if (gone || !box.current) return
      const made = echarts.init(box.current, undefined, { renderer: 'canvas' })
      chart.current = made
      made.group = 'page'
      echarts.connect('page')
      const soft = token('soft')
      made.setOption({
        animation: false, color: [0, 1, 2, 3, 4, 5, 6, 7].map((i) => token(`series-${i}`)), backgroundColor: 'transparent', textStyle: { color: soft, fontSize: 12 },
        grid: { left: 8, right: 26, top: 30, bottom: 6, containLabel: true },
        legend: { top: 0, right: 0, textStyle: { color: soft, fontSize: 12 }, icon: 'roundRect', itemWidth: 14, itemHeight: 3 },
        tooltip: { trigger: 'axis', renderMode: 'richText', backgroundColor: token('raised'), borderColor: token('strong'), textStyle: { color: token('text'), fontSize: 12 }, valueFormatter: (v: unknown) => (typeof v === 'number' ? format(v) : '-') },
        axisPointer: { link: [{ xAxisIndex: 'all' }], lineStyle: { color: soft }, label: { formatter: ({ value }: { value: any }) => time(Number(value)) } },
        dataZoom: [{ type: 'inside', filterMode: 'none' }],
        xAxis: { type: 'time', axisLabel: { color: soft, formatter: (v: number) => axisTime(v, latest.current.lines), hideOverlap: true }, axisLine: { lineStyle: { color: token('line') } }, splitLine: { show: false } },
        yAxis: { type: 'value', min: 0, axisLabel: { color: soft, formatter: (v: number) => format(v) }, splitLine: { lineStyle: { color: token('line') } } },
      })
      draw()
      seen = new ResizeObserver(() => made.resize())
      seen.observe(box.current)
    })
    return () => {
      gone = true
      seen?.disconnect()
      chart.current?.dispose()
      chart.current = null
    }
  }, [theme])

  const draw = () => {
    if (!chart.current || document.hidden) return
    chart.current.setOption({
      yAxis: { max: latest.current.max, interval: latest.current.binary ? step(latest.current.lines, latest.current.max) : undefined },
      series: latest.current.lines.map((line, i) => ({ name: line.name, type: 'line', showSymbol: line.values.length < 2, symbolSize: 4, connectNulls: false, data: line.values, lineStyle: { width: 1.6, type: DASHES[i % DASHES.length] }, areaStyle: latest.current.lines.length === 1 ? { opacity: 0.12 } : undefined })),
    })
  }
  useEffect(draw, [lines, max])
  const known = (line: Line) => line.values.filter(([, v]) => v !== null)
  const label = `${title}: ${lines.map((line) => `${line.name} ${known(line).length ? format(known(line).at(-1)![1]!) : '-'}`).join(', ')}`
  return <figure className="chart" data-points={Math.max(0, ...lines.map((line) => known(line).length))}><figcaption>{title}</figcaption><div ref={box} className="canvas" role="img" aria-label={label} /></figure>
}
