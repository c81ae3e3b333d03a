"""Words: sandboxed templates, conditions, locales, SMS parts."""

from orchestrator.rendering.conditions import Conditions, Expression
from orchestrator.rendering.problems import ConditionError, TemplateProblem, TemplateProblems, Unrenderable
from orchestrator.rendering.sms import SmsCount, count
from orchestrator.rendering.templates import RenderContext, Rendered, TemplateSet

__all__ = [
    "ConditionError",
    "Conditions",
    "Expression",
    "RenderContext",
    "Rendered",
    "SmsCount",
    "TemplateProblem",
    "TemplateProblems",
    "TemplateSet",
    "Unrenderable",
    "count",
]
