// SPDX-License-Identifier: Apache-2.0
// Only what our charts use of ECharts.
import * as echarts from 'echarts/core'
import { LineChart } from 'echarts/charts'
import { AxisPointerComponent, DataZoomInsideComponent, GridComponent, LegendComponent, TooltipComponent } from 'echarts/components'
import { CanvasRenderer } from 'echarts/renderers'

echarts.use([LineChart, GridComponent, TooltipComponent, AxisPointerComponent, LegendComponent, DataZoomInsideComponent, CanvasRenderer])
export { echarts }
